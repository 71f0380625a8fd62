import assert from 'node:assert/strict'
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { InstalledPackage } from './installed-package'
import { installPackage, repository } from './installed-package'

/** What npm writes down about everything that it has put into `node_modules`. */
interface HiddenLockfile {
  readonly packages: Record<string, { readonly hasInstallScript?: boolean }>
}

describe('the packed package, installed in an empty project', { timeout: 240_000 }, () => {
  let installed: InstalledPackage

  before(async () => {
    installed = await installPackage()
  })

  after(() => installed?.remove())

  it('brings at most four packages, none of which compiles or runs anything at install', () => {
    const { packages } = JSON.parse(
      readFileSync(join(installed.project, 'node_modules/.package-lock.json'), 'utf8'),
    ) as HiddenLockfile
    const folders = Object.keys(packages)
    assert.ok(folders.includes('node_modules/cpu-memory-monitor'))
    assert.ok(folders.length <= 4, folders.join(', '))
    for (const folder of folders) {
      assert.ok(!packages[folder]?.hasInstallScript, `${folder} has an install script`)
      // npm runs node-gyp for a binding.gyp at the root of a package, script or not.
      assert.ok(!existsSync(join(installed.project, folder, 'binding.gyp')), `${folder} would be compiled`)
    }
  })

  it('is a function for require, and a process that calls it ends by itself', async () => {
    const { stdout } = await installed.run(process.execPath, [
      '--eval',
      "const monitor = require('cpu-memory-monitor')({ cpu: {}, memory: {}, logger: false }); console.log(typeof monitor.stop)",
    ])
    assert.equal(stdout, 'function\n')
  })

  it('reads evidence on the command line, with no package but its own', async () => {
    const profile = join(installed.project, 'own.cpuprofile')
    await installed.run(process.execPath, [
      join(repository, 'test/tools/devtools/programs/cpu-profile.js'),
      profile,
    ])
    const command = join(installed.project, 'node_modules/.bin/cpu-memory-monitor')
    const page = join(installed.project, 'own.html')
    const { stdout } = await installed.run(command, ['report', profile, '--out', page])
    assert.match(stdout, /^searchForPrimes \(/)
    assert.ok(existsSync(page))
    const snapshot = join(installed.project, 'own.heapsnapshot')
    await installed.run(process.execPath, [
      join(repository, 'test/e2e/reader/programs/hoard.js'),
      '2000',
      snapshot,
    ])
    assert.match(
      (await installed.run(command, ['report', snapshot])).stdout,
      /^2,000 objects of class SessionRecord/,
    )
  })

  it('examines where it is, from its own folder', async () => {
    const command = join(installed.project, 'node_modules/.bin/cpu-memory-monitor')
    const { stdout } = await installed.run('env', ['-u', 'CMM_TEST_PACKAGES', command, 'doctor', '--json'])
    const { findings } = JSON.parse(stdout) as { findings: readonly { subject: string; text: string }[] }
    const texts = new Map(findings.map(({ subject, text }) => [subject, text]))
    assert.match(texts.get('thread') ?? '', /a thread of its own$/)
    assert.match(texts.get('trial of a memory dump') ?? '', /^made by fork/)
  })

  it('has the licence of each library in the bundles of the reader', () => {
    const folder = join(installed.project, 'node_modules/cpu-memory-monitor/dist/reader')
    const licences = readFileSync(join(folder, 'LICENSES.txt'), 'utf8')
    for (const library of [
      'heap-snapshot-toolkit',
      'd3-flame-graph',
      'd3-selection',
      '@jridgewell/trace-mapping',
    ]) {
      const { version } = JSON.parse(
        readFileSync(join(repository, 'node_modules', library, 'package.json'), 'utf8'),
      ) as { version: string }
      assert.ok(licences.includes(`${library} ${version} (`), library)
    }
  })

  it('is a preload for --require and --import, which prints nothing', async () => {
    const program = "process.stdout.write('ran')"
    for (const flag of ['--require', '--import']) {
      // Without the variables of the suite, which begin as those of the monitor do.
      const { stdout, stderr } = await installed.run('env', [
        ...['-i', process.execPath, flag, 'cpu-memory-monitor/register', '--eval', program],
      ])
      assert.deepEqual([stdout, stderr], ['ran', ''])
    }
  })

  it('has the metrics, which name the package that they need', async () => {
    const { stdout } = await installed.run(process.execPath, [
      '--eval',
      `const { observe, register } = require('cpu-memory-monitor/metrics')
       try { register({ stats: () => ({ workers: [] }) }, {}) } catch ({ message }) { console.log(typeof observe, message) }`,
    ])
    assert.match(stdout, /^function register\(\) needs the package prom-client/)
  })

  it('is the same object for import', async () => {
    const { stdout } = await installed.run(process.execPath, [
      '--input-type=module',
      '--eval',
      `import cpuMemoryMonitor from 'cpu-memory-monitor'
       import { createRequire } from 'node:module'
       console.log(cpuMemoryMonitor === createRequire(import.meta.url)('cpu-memory-monitor'))`,
    ])
    assert.equal(stdout, 'true\n')
  })

  it('has types for CommonJS and ESM consumers under nodenext, which refuse wrong options', async () => {
    const folder = join(installed.project, 'consumer')
    cpSync(join(repository, 'test/e2e/package/consumer'), folder, { recursive: true })
    const types = join(repository, 'node_modules/@types')
    await tool('typescript/bin/tsc', ['--project', folder, '--typeRoots', types])
  })

  it('is in order for publint', async () => {
    await tool('publint/src/cli.js', ['run', '--strict', installed.tarball])
  })

  it('has the right types for every way of importing it', async () => {
    await tool('@arethetypeswrong/cli/dist/index.js', ['--profile', 'strict', installed.tarball])
  })

  /** Runs a tool of the repository; what it complains of becomes the test's message. */
  async function tool(file: string, toolArguments: string[]): Promise<void> {
    try {
      await installed.run(process.execPath, [join(repository, 'node_modules', file), ...toolArguments])
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      assert.fail(`${stdout}${stderr}`)
    }
  }
})
