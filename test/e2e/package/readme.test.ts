import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type InstalledPackage, installPackage } from './installed-package'
import { linksOf, pages, samplesOf } from './pages'

interface CpuProfile {
  readonly nodes: readonly { readonly callFrame: { readonly functionName: string } }[]
}

describe('the packed package', { timeout: 240_000 }, () => {
  let installed: InstalledPackage

  before(async () => {
    installed = await installPackage()
  })

  after(() => installed?.remove())

  it('has each page and picture that its pages link to', () => {
    const root = join(installed.project, 'node_modules/cpu-memory-monitor')
    for (const page of pages) {
      assert.ok(existsSync(join(root, page)), page)
      for (const { path } of linksOf(page))
        assert.ok(existsSync(join(root, path)), `${page} links to ${path}`)
    }
  })

  describe("with the README's first sample and shorter times", () => {
    it('leaves one whole CPU profile that names the function which burns, and nothing else', async () => {
      const { folder, evidence, log } = await run('burning', BURN_UNTIL_DUMPED)
      const [profile, ...others] = evidence.filter((name) => !name.endsWith('.json'))
      assert.match(profile ?? '', /^cpu-\d+-\d+\.cpuprofile$/, log)
      assert.deepEqual(others, [], log)

      const file = join(folder, profile ?? '')
      const { nodes } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
      assert.ok(nodes.some(({ callFrame }) => callFrame.functionName === 'grindBeans'))
      assert.equal(statSync(file).mode & 0o777, 0o600)
      assert.equal(statSync(folder).mode & 0o777, 0o700)
      assert.ok(evidence.includes(`${profile}.json`))
    })

    it('leaves nothing when nothing burns, and does not keep the process alive', async () => {
      const { evidence, log } = await run('idle', '')
      assert.deepEqual(evidence, [], log)
    })
  })

  /** Runs the sample in a directory of its own, with more code behind it, until the process ends by itself. */
  async function run(
    name: string,
    more: string,
  ): Promise<{ folder: string; evidence: string[]; log: string }> {
    const directory = join(installed.project, name)
    mkdirSync(directory)
    const program = join(directory, 'app.js')
    writeFileSync(program, `process.chdir(__dirname)\n${shortened(samplesOf('README.md')[0] ?? '')}\n${more}`)
    const { stderr } = await installed.run(process.execPath, [program])
    const folder = join(directory, 'evidence')
    const evidence = existsSync(folder) ? readdirSync(folder) : []
    return { folder, evidence, log: `left: ${evidence.join(', ')}\n${stderr}` }
  }
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

/** A crowded machine may give the test a small part of a core, hence also a low CPU threshold. */
function shortened(sample: string): string {
  const changes: [from: string, to: string][] = [
    ['\ncpuMemoryMonitor({', '\nconst monitor = cpuMemoryMonitor({'],
    ['cpu: { threshold: 60, ', "cpu: { threshold: 1, interval: 200, duration: 1000, limiter: [1, 'hour'], "],
    ["memory: { threshold: '1.2gb', ", "memory: { threshold: '1.2gb', interval: 200, "],
  ]
  return changes.reduce((text, [from, to]) => {
    assert.equal(text.split(from).length, 2, `the sample has not exactly once: ${from}`)
    return text.replace(from, to)
  }, sample)
}
