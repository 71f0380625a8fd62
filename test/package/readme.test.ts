import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as options from '../../dist/options.js'
import { installPackage, repository } from './installed-package'
import type { InstalledPackage } from './installed-package'

const readme = readFileSync(join(repository, 'README.md'), 'utf8')

interface CpuProfile {
  readonly nodes: readonly { readonly callFrame: { readonly functionName: string } }[]
}

describe(
  "the README's first sample, run with the packed package and shorter times",
  { timeout: 240_000 },
  () => {
    let installed: InstalledPackage

    before(async () => {
      installed = await installPackage()
    })

    after(() => installed?.remove())

    it('leaves one whole CPU profile that names the function which burns, and nothing else', async () => {
      const { evidence, log } = await run('burning', BURN_UNTIL_DUMPED)
      const [profile, ...others] = evidence.filter((name) => !name.endsWith('.json'))
      assert.match(profile ?? '', /^cpu-\d+-\d+\.cpuprofile$/, log)
      assert.deepEqual(others, [], log)

      const file = join(installed.project, 'burning', profile ?? '')
      const { nodes } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
      assert.ok(nodes.some(({ callFrame }) => callFrame.functionName === 'grindBeans'))
      assert.equal(statSync(file).mode & 0o777, 0o600)
      assert.ok(evidence.includes(`${profile}.json`))
    })

    it('leaves nothing when nothing burns, and does not keep the process alive', async () => {
      const { evidence, log } = await run('idle', '')
      assert.deepEqual(evidence, [], log)
    })

    /** Runs the sample with more code behind it until the process ends by itself; gives what it left and said. */
    async function run(folderName: string, more: string): Promise<{ evidence: string[]; log: string }> {
      const folder = join(installed.project, folderName)
      mkdirSync(folder)
      const program = join(installed.project, `${folderName}.js`)
      writeFileSync(program, `${shortened(firstSample(), folder)}\n${more}`)
      const { stderr } = await installed.run(process.execPath, [program])
      const evidence = readdirSync(folder)
      return { evidence, log: `left: ${evidence.join(', ')}\n${stderr}` }
    }
  },
)

describe('the README', () => {
  it('lists every option, with its default', () => {
    const defaults = {
      'cpu.interval': options.DEFAULT_INTERVAL_MS,
      'cpu.threshold': options.DEFAULT_CPU_THRESHOLD,
      'cpu.counter': options.DEFAULT_COUNTER,
      'cpu.limiter': options.DEFAULT_LIMITER,
      'cpu.duration': options.DEFAULT_DURATION_MS,
      'cpu.blocked': options.DEFAULT_BLOCKED_MS,
      'cpu.profileDir': undefined,
      'memory.interval': options.DEFAULT_INTERVAL_MS,
      'memory.threshold': options.DEFAULT_MEMORY_THRESHOLD,
      'memory.counter': options.DEFAULT_COUNTER,
      'memory.limiter': options.DEFAULT_LIMITER,
      'memory.sampling': true,
      'memory.profileDir': undefined,
      profileDir: undefined,
      signal: options.DEFAULT_SIGNAL,
      watchdog: true,
      engine: 'auto',
      keep: options.DEFAULT_KEEP,
      logger: undefined,
    }
    assert.deepEqual(Object.keys(defaults).sort(), knownOptions().sort())
    for (const [name, value] of Object.entries(defaults)) {
      const row = readme.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``))
      assert.ok(row, `no row for ${name}`)
      if (value !== undefined) assert.ok(row.replace(/\s+\|$/, '').endsWith(`\`${asCode(value)}\``), row)
    }
  })

  it('names only files that exist', () => {
    const files = readme.match(/\b(?:test|docs|src)\/[\w./-]+\.\w+/g) ?? []
    assert.ok(files.length > 0)
    for (const file of files) assert.ok(existsSync(join(repository, file)), file)
  })
})

const BURN_UNTIL_DUMPED = `
const deadline = performance.now() + 60_000
function grindBeans() {
  const end = performance.now() + 40
  while (performance.now() < end);
}
const timer = setInterval(() => {
  grindBeans()
  if (performance.now() > deadline) clearInterval(timer)
}, 1)
monitor.once('dump', () => clearInterval(timer))
`

function firstSample(): string {
  const sample = /```js\n([\s\S]*?)```/.exec(readme)?.[1]
  assert.ok(sample !== undefined && sample.includes("require('cpu-memory-monitor')"))
  return sample
}

/** A crowded machine may give the test a small part of a core, hence also a low CPU threshold. */
function shortened(sample: string, folder: string): string {
  const changes: [from: string, to: string, times: number][] = [
    ['interval: 1000', 'interval: 200', 2],
    ['duration: 30000', 'duration: 1000', 1],
    ['threshold: 60', 'threshold: 1', 1],
    ["profileDir: '/tmp'", `profileDir: ${JSON.stringify(folder)}`, 2],
    ["limiter: [5, 'hour']", "limiter: [1, 'hour']", 1],
  ]
  return changes.reduce((text, [from, to, times]) => {
    assert.equal(text.split(from).length - 1, times, `the sample has not ${times} times: ${from}`)
    return text.replaceAll(from, to)
  }, sample)
}

/** The names of all options, as the error for an unknown one lists them. */
function knownOptions(): string[] {
  const keysOf = (wrong: object) => {
    try {
      options.resolveOptions(wrong)
    } catch (error) {
      return (error as Error).message.replace(/^.* takes /, '').split(', ')
    }
    throw new Error('an unknown option was accepted')
  }
  return [
    ...keysOf({ wrong: 1 }).filter((key) => key !== 'cpu' && key !== 'memory'),
    ...keysOf({ cpu: { wrong: 1 } }).map((key) => `cpu.${key}`),
    ...keysOf({ memory: { wrong: 1 } }).map((key) => `memory.${key}`),
  ]
}

function asCode(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(asCode).join(', ')}]`
  return typeof value === 'string' ? `'${value}'` : String(value)
}
