import assert from 'node:assert/strict'
import { posix } from 'node:path'
import { test } from 'node:test'
import { read } from './pages'

const ENGLISH = 'README.md'
const CHINESE = 'docs/README.zh-CN.md'

test('the Chinese README has the structure of the English one', () => {
  assert.deepEqual(structureOf(CHINESE, read(CHINESE)), structureOf(ENGLISH, read(ENGLISH)))
})

test('a line of code, a row, a link or an option that one of them lacks is noticed', () => {
  const whole = structureOf(ENGLISH, read(ENGLISH))
  const lost = [
    'const memory = require',
    '| `….json`',
    '](docs/reader.md)',
    '- `keep`',
    '## Install\n',
    '`logger`',
  ]
  for (const text of lost) {
    assert.ok(read(ENGLISH).includes(text), text)
    assert.notDeepEqual(structureOf(ENGLISH, read(ENGLISH).replace(text, '')), whole, text)
  }
})

interface Section {
  readonly level: number
  /** In their order, but for code in running text, which each language puts where its grammar does. */
  readonly blocks: readonly string[]
  readonly code: readonly string[]
  readonly links: readonly string[]
}

/** What has to be the same in each language: headings by level, kinds of blocks, code without its comments, links. */
function structureOf(page: string, text: string): Section[] {
  return text.split(/^(?=#+ )/m).map((section) => {
    const samples = [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(
      ([, kind, code = '']) => `${kind}\n${code.replace(/ *\/\/ .*$/gm, '')}`,
    )
    const prose = section.replace(/^```[\s\S]*?^```$/gm, '```').replace(/^#+ .*\n/, '')
    const links = [...prose.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => resolved(page, link))
    return {
      level: /^#+/.exec(section)?.[0].length ?? 0,
      blocks: prose.split('\n').flatMap(blockOf),
      code: [...samples, ...[...prose.matchAll(/`[^`\n]+`/g)].map(([code]) => code).sort()],
      links: links.sort(),
    }
  })
}

function blockOf(line: string): string[] {
  if (line.startsWith('```')) return ['code']
  if (line.startsWith('|')) return [`row of ${line.split('|').length}`]
  if (line.startsWith('- ')) return ['item']
  return line.startsWith('![') ? ['picture'] : []
}

function resolved(page: string, link: string): string {
  if (/^https?:/.test(link)) return link
  const path = posix.join(posix.dirname(page), link)
  return path === ENGLISH || path === CHINESE ? 'the other language' : path
}
