// Code that another user has planted where a careless search would find it. A line in the file `mark` names what was loaded.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { noCompiler } from '../../harness/compiler'
import { compile, SIDE_BY_SIDE } from './attacker'
import { evil, makeDirectory, noSecondUser, scratch } from './second-user'
import { cleanEnvironment, install, PACKAGE, plantPackage, startVictim, type Victim } from './victim'

const NAMES = ['memwatch-next', '@airbnb/node-memwatch', 'v8-profiler-next', 'heapdump']
const ALL = { cpu: { threshold: 100_000 }, memory: { threshold: '900gb' } }
const HELPER = `fork-helper.napi.${libc()}.node`
const PREBUILDS = `linux-${process.arch}`
const HAS_HELPER = existsSync(join(PACKAGE, 'prebuilds', PREBUILDS, HELPER))
const noHelper = HAS_HELPER ? false : 'the fork helper is not built'

describe('packages', { skip: noSecondUser, concurrency: SIDE_BY_SIDE }, () => {
  for (const [what, below] of [
    ['the working directory', ''],
    ['a directory above the working directory', 'here/and/there'],
  ] as const) {
    test(`F1 nothing is loaded from ${what}`, async (t) => {
      const { home, mark } = plantPackages(t)
      const cwd = join(home, below)
      mkdirSync(cwd, { recursive: true })
      // In place, where heapdump would be asked.
      const victim = await startVictim(
        t,
        { ...ALL, profileDir: scratch(t) },
        { cwd, execArgv: ['--no-addons'] },
      )
      await victim.order('dumpCpu', 10)
      await victim.order('dumpMemory')
      assert.equal(loadedBy(mark), '')
      assert.equal(victim.dumps().length, 2, victim.lines().join('\n'))
    })
  }

  test("F1 engine: 'packages' does not find them there either", (t) => {
    const { home, mark } = plantPackages(t)
    const script = `require(${JSON.stringify(PACKAGE)})({ engine: 'packages', memory: {} })`
    const { status, stderr } = run(['-e', script], { cwd: home })
    assert.equal(loadedBy(mark), '')
    assert.equal(status, 1)
    assert.match(stderr, /heapdump/)
  })

  test("F1 but a package of the application's own tree is used, and named with its path", async (t) => {
    const parent = scratch(t)
    const mark = join(parent, 'mark')
    const { program, directory } = install(parent)
    plantPackage(join(directory, 'node_modules'), 'memwatch-next', mark)
    const victim = await startVictim(t, { ...ALL, profileDir: scratch(t) }, { program })
    await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
    assert.match(loadedBy(mark), /memwatch-next/)
    const path = join(directory, 'node_modules', 'memwatch-next')
    assert.ok(
      victim.lines().some((line) => line.includes(path)),
      victim.lines().join('\n'),
    )
  })

  for (const [what, isBundled] of [
    ['the application', false],
    ['a bundle', true],
  ] as const) {
    test(`F1 nothing is loaded from above ${what}, where another user could make a node_modules`, async (t) => {
      const esbuild = isBundled ? findEsbuild() : undefined
      if (typeof esbuild === 'string') return t.skip(esbuild)
      const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
      const mark = join(scratch(t), 'mark')
      const { directory, program } = install(parent)
      const outfile = join(directory, 'dist', 'bundle.js')
      esbuild?.buildSync({
        ...{ entryPoints: [program], bundle: true, platform: 'node', outfile, logLevel: 'error' },
      })
      plantPackages(t, parent, mark)
      const victim = await startVictim(
        t,
        { ...ALL, profileDir: scratch(t) },
        { program: isBundled ? outfile : program, execArgv: ['--no-addons'] },
      )
      await victim.order('dumpCpu', 10)
      await victim.order('dumpMemory')
      assert.equal(loadedBy(mark), '')
      assert.equal(victim.dumps().length, 2, victim.lines().join('\n'))
      assert.match(victim.lines().join('\n'), /heapdump \(.* belongs to another user\)/)
    })
  }

  test('F1 no prom-client is loaded from above the application, where another user could make a node_modules', (t) => {
    const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
    const mark = join(scratch(t), 'mark')
    const { directory } = install(parent)
    const modules = join(parent, 'node_modules')
    plantPackage(modules, 'prom-client', mark)
    execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, modules])
    const script = "require('cpu-memory-monitor/metrics').register({ stats: () => ({ workers: [] }) }, {})"
    const { status, stderr } = run(['-e', script], { cwd: directory })
    assert.equal(loadedBy(mark), '')
    assert.equal(status, 1)
    assert.match(stderr, /needs the package prom-client.*belongs to another user/)
  })

  test('F1 nor is anything opened there, such as a FIFO', async (t) => {
    const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
    const { program } = install(parent)
    const folder = join(parent, 'node_modules', 'heapdump')
    mkdirSync(folder, { recursive: true })
    execFileSync('mkfifo', [join(folder, 'package.json')])
    execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, join(parent, 'node_modules')])
    const victim = await startVictim(t, { ...ALL, profileDir: scratch(t) }, { program })
    await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
    assert.match(victim.lines().join('\n'), /heapdump \(.* belongs to another user\)/)
  })

  test('F1 nor what the library itself needs, where its installation lacks it', async (t) => {
    const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
    const mark = join(scratch(t), 'mark')
    const { program, directory } = install(parent)
    unlinkSync(join(directory, 'node_modules', 'pidusage'))
    plantPackage(join(parent, 'node_modules'), 'pidusage', mark)
    execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, join(parent, 'node_modules')])
    const victim = await startVictim(t, { ...ALL, profileDir: scratch(t) }, { program })
    await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
    assert.equal(loadedBy(mark), '')
    assert.match(victim.lines().join('\n'), /Node's counters \(pidusage failed: .* belongs to another user\)/)
  })

  for (const [what, isOthers] of [
    ['no package is loaded that would look for its own in a node_modules above of another user', true],
    ['but one is loaded that would look for its own in a node_modules above of the own user', false],
  ] as const) {
    test(`F1 ${what}`, async (t) => {
      const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
      const mark = join(scratch(t), 'mark')
      const { program, directory } = install(parent)
      plantPackage(join(directory, 'node_modules'), 'memwatch-next', mark)
      const index = join(directory, 'node_modules', 'memwatch-next', 'index.js')
      writeFileSync(index, `try { require('supports-color') } catch {}\n${readFileSync(index, 'utf8')}`)
      const above = join(parent, 'node_modules')
      plantPackage(above, 'supports-color', mark)
      if (isOthers) execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, above])
      const victim = await startVictim(t, { ...ALL, profileDir: scratch(t) }, { program })
      await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
      if (!isOthers) return assert.match(loadedBy(mark), /supports-color[^]*memwatch-next/)
      assert.equal(loadedBy(mark), '')
      const why = `memwatch-next is not loaded: it looks for packages in ${above}, which belongs to another user`
      assert.ok(victim.lines().join('\n').includes(why), victim.lines().join('\n'))
    })
  }

  test('F1 but packages of the owner of the application are used, also by root', async (t) => {
    const parent = scratch(t)
    const mark = join(parent, 'mark')
    const { program, directory } = install(parent)
    plantPackage(join(directory, 'node_modules'), 'memwatch-next', mark)
    execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, directory])
    const victim = await startVictim(t, { ...ALL, profileDir: scratch(t) }, { program })
    await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
    assert.match(loadedBy(mark), /memwatch-next/)
  })

  for (const [what, args] of [
    ['node -e', ['-e', `require(${JSON.stringify(PACKAGE)})({ memory: {} }).stop()`]],
    ['node -p', ['-p', `require(${JSON.stringify(PACKAGE)})({ memory: {} }).stop(), 1`]],
    ['node -', ['-']],
  ] as const) {
    test(`F13 an argument of ${what} is no program beside which packages are looked for`, (t) => {
      const { home, mark } = plantPackages(t)
      writeFileSync(join(home, 'file.txt'), 'an upload')
      const input = `require(${JSON.stringify(PACKAGE)})({ memory: {} }).stop()`
      const { status, stderr } = run([...args, join(home, 'file.txt')], { cwd: '/', input })
      assert.equal(status, 0, stderr)
      assert.equal(loadedBy(mark), '')
    })
  }
})

describe('the fork helper', { skip: noSecondUser || noCompiler, concurrency: SIDE_BY_SIDE }, () => {
  const planted = (mark: string): string =>
    compile('planted.c', 'planted.node', '-shared', '-fPIC', `-DMARK="${mark}"`)

  for (const [what, isNamed] of [
    ['', false],
    [', also with a package.json of our name', true],
  ] as const) {
    test(`F12 a bundle loads no addon from the directories above it${what}`, async (t) => {
      const esbuild = findEsbuild()
      if (typeof esbuild === 'string') return t.skip(esbuild)
      const parent = makeDirectory(scratch(t), 'tmp', 0o1777)
      const mark = join(scratch(t), 'mark')
      const { directory, program } = install(parent)
      const outfile = join(directory, 'dist', 'bundle.js')
      esbuild.buildSync({
        ...{ entryPoints: [program], bundle: true, platform: 'node', outfile, logLevel: 'error' },
      })
      for (const above of [parent, directory, join(directory, 'dist')])
        plantAddon(above, planted(mark), isNamed)
      const victim = await startVictim(
        t,
        { ...ALL, profileDir: scratch(t) },
        { program: outfile, cwd: parent },
      )
      await dumpBoth(victim)
      assert.equal(loadedBy(mark), '')
    })
  }

  test('H23 nor is one loaded from the working directory', async (t) => {
    const mark = join(scratch(t), 'mark')
    const home = makeDirectory(scratch(t), 'home', 0o755, evil())
    plantAddon(home, planted(mark), true)
    const env = { PREBUILDS_ONLY: '1' }
    const victim = await startVictim(t, { profileDir: scratch(t) }, { cwd: home, env })
    await victim.order('dumpMemory')
    assert.equal(loadedBy(mark), '')
  })

  test('F20 nor from a directory that the environment names', async (t) => {
    const mark = join(scratch(t), 'mark')
    const home = makeDirectory(scratch(t), 'home', 0o755, evil())
    plantAddon(home, planted(mark), true)
    const env = { CPU_MEMORY_MONITOR_PREBUILD: home, npm_config_prebuild: home }
    const victim = await startVictim(t, { profileDir: scratch(t) }, { env })
    const result = await victim.order('dumpMemory')
    assert.equal(loadedBy(mark), '')
    if (HAS_HELPER) assert.equal('file' in result && result.way, 'fork')
  })
})

for (const env of [
  { LIBC: 'musl' },
  { LIBC: 'glibc' },
  { npm_config_arch: 'arm' },
  { npm_config_platform: 'win32' },
  { npm_config_libc: 'musl' },
  { ARM_VERSION: '6' },
  { npm_config_runtime: 'electron' },
]) {
  test(
    `F20 the helper of this machine is used with ${JSON.stringify(env)}`,
    { skip: noHelper },
    async (t) => {
      const victim = await startVictim(t, { profileDir: scratch(t) }, { env })
      const result = await victim.order('dumpMemory')
      assert.equal('file' in result && result.way, 'fork', victim.lines().join('\n'))
    },
  )
}

const noReadelf = spawnSync('readelf', ['--version']).status === 0 ? false : 'there is no readelf'
const binaries = HAS_HELPER ? readdirSync(join(PACKAGE, 'prebuilds')).flatMap(helpersOf) : []

describe('F22 the helper as a binary', { skip: noHelper || noReadelf }, () => {
  for (const file of binaries) {
    test(`F22 ${file.slice(PACKAGE.length + 1)} has a stack protector, full RELRO, no executable stack, and exports nothing but Node-API`, () => {
      const elf = execFileSync('readelf', ['--wide', '--dyn-syms', '--dynamic', '--segments', file], {
        encoding: 'utf8',
      })
      assert.match(elf, /__stack_chk_fail/)
      assert.match(elf, /GNU_RELRO/)
      assert.match(elf, /BIND_NOW|\bNOW\b/)
      assert.match(elf, /GNU_STACK.*RW /)
      assert.doesNotMatch(elf, /RPATH|RUNPATH|TEXTREL/)
      const exported = elf.split('\n').filter((line) => /(GLOBAL|WEAK) +DEFAULT +\d+ /.test(line))
      // musl's own start files export two names more.
      const names = exported.map((line) => line.trim().split(/\s+/).at(-1) ?? '')
      assert.deepEqual(names.filter((name) => !['_init', '_fini'].includes(name)).sort(), [
        'napi_register_module_v1',
        'node_api_module_get_api_version_v1',
      ])
    })
  }
})

function plantPackages(
  t: TestContext,
  home = makeDirectory(scratch(t), 'home', 0o755, evil()),
  mark = join(scratch(t), 'mark'),
): { home: string; mark: string } {
  const modules = join(home, 'node_modules')
  for (const name of NAMES) plantPackage(modules, name, mark)
  execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, modules])
  return { home, mark }
}

/** Where node-gyp-build and its like would look. */
function plantAddon(directory: string, addon: string, isNamed: boolean): void {
  const prebuilds = join(directory, 'prebuilds', PREBUILDS)
  for (const folder of [prebuilds, join(directory, 'build', 'Release')]) {
    mkdirSync(folder, { recursive: true })
    for (const name of [HELPER, 'x.node', 'fork-helper.node']) cpSync(addon, join(folder, name))
  }
  const text = JSON.stringify({ name: 'cpu-memory-monitor', version: '2.0.0' })
  if (isNamed) writeFileSync(join(directory, 'package.json'), text)
  for (const name of ['build', 'prebuilds', ...(isNamed ? ['package.json'] : [])])
    execFileSync('chown', ['-R', `${evil().uid}:${evil().gid}`, join(directory, name)])
}

async function dumpBoth(victim: Victim): Promise<void> {
  for (const result of [await victim.order('dumpCpu', 10), await victim.order('dumpMemory')])
    assert.ok('file' in result, JSON.stringify(result))
}

function loadedBy(mark: string): string {
  return existsSync(mark) ? readFileSync(mark, 'utf8') : ''
}

function run(args: readonly string[], options: { cwd: string; input?: string }): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, {
    ...options,
    env: cleanEnvironment(),
    encoding: 'utf8',
    timeout: 30_000,
  })
}

interface Esbuild {
  buildSync(options: object): unknown
}

/** It comes with tsx, which runs these tests. */
function findEsbuild(): Esbuild | string {
  try {
    const tsx = createRequire(__filename).resolve('tsx/package.json')
    return createRequire(tsx)('esbuild') as Esbuild
  } catch (error) {
    return `no esbuild: ${(error as Error).message}`
  }
}

function helpersOf(platform: string): string[] {
  const folder = join(PACKAGE, 'prebuilds', platform)
  return readdirSync(folder).map((name) => join(folder, name))
}

function libc(): string {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}
