import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { repository } from './installed-package'

/** The documents that users read, by their path in the repository. */
export const pages: readonly string[] = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(repository, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

/** A link or picture that leads to a file, not to another site. */
export interface Link {
  /** Path in the repository, of the page itself for a bare anchor. */
  readonly path: string
  readonly anchor: string | undefined
}

export function read(path: string): string {
  return readFileSync(join(repository, path), 'utf8')
}

/** The links of a page, without those in code. */
export function linksOf(page: string): Link[] {
  const targets = [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#')
      return { path: path === '' ? page : join(dirname(page), path), anchor }
    })
}

/** The anchors of a page: those of its headings, as GitHub and npm make them, and those of the generated reference. */
export function anchorsOf(page: string): string[] {
  if (!page.endsWith('.md') || !existsSync(join(repository, page))) return []
  const text = withoutFences(read(page))
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)]
}

/** The text of a page under one of its headings, up to the next heading of the same level. */
export function sectionOf(page: string, heading: string): string {
  const [level = ''] = /^#+/.exec(heading) ?? []
  const [, rest] = `\n${read(page)}`.split(`\n${heading}\n`)
  if (rest === undefined) throw new Error(`${page} has no heading: ${heading}`)
  return rest.split(`\n${level} `)[0] ?? ''
}

/** The blocks of JavaScript in a page. */
export function samplesOf(page: string): string[] {
  return [...read(page).matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)
}

function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '')
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/`[^`]*`/g, '')
}
