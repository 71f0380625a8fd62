// Attacks that never worked, and must go on failing. Rows with a test of their own: H1 in races, H8 in process-limit, H12 in clock, H18 and H19 in globals, H23
// in code-loading, the others below. Rows that a test elsewhere holds, by its title:
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { noCompiler } from '../../harness/compiler'
import { compile, isLong, SIDE_BY_SIDE } from './attacker'
import { evil, makeDirectory, noSecondUser, scratch } from './second-user'
import {
  childrenOf,
  cleanEnvironment,
  filesIn,
  isDump,
  PACKAGE,
  startVictim,
  until,
  type Victim,
} from './victim'

const HELD_ELSEWHERE = {
  H3: [
    ['retention.test.ts', 'a stale partial goes with its sidecar'],
    ['retention.test.ts', 'a partial of another host stays'],
    ['retention.test.ts', 'a partial that is a symlink stays, and so does what it leads to'],
  ],
  H10: [
    ['faults.test.ts', 'a disk that fills up while a profile is written'],
    ['faults.test.ts', 'a directory that vanishes'],
    ['room.test.ts', 'that fills the disk is a failure, with no half file, and the application goes on'],
  ],
  H11: [['faults.test.ts', 'a directory that becomes read-only']],
  H13: [['room.test.ts', 'under a memory limit of']],
  H14: [
    ['child.test.ts', 'the child has nothing of the application but its memory'],
    ['load.test.ts', 'leaves the application free to serve and to start programs meanwhile'],
  ],
  H16: [['ends.test.ts', 'becomes whole though the application is killed, and holds no port']],
  H20: [
    ['bad-options.test.ts', 'wrong options throw by name at the call and start nothing'],
    ['bad-listeners.test.ts', 'a listener that ${way} becomes one failure'],
    ['bad-listeners.test.ts', 'a logger that ${way} changes nothing'],
  ],
  H22: [['surroundings.test.ts', "does not run the application's ${name} again"]],
  H25: [['options.test.ts', '${name}=${value} is refused by name']],
} as const

const ROOT_OF_TESTS = join(PACKAGE, 'test')

/** By `npm run accept -- attacks` they are run. Here that they exist is enough: they run as tests of their own. */
for (const [row, tests] of Object.entries(HELD_ELSEWHERE)) {
  test(`${row} is held by a test elsewhere`, async () => {
    for (const [name, title] of tests) {
      const files = testsOf(name).filter((file) => readFileSync(file, 'utf8').includes(title))
      assert.ok(files.length > 0, `no ${name} has a test '${title}'`)
      if (isLong) await expectPassed(files, title)
    }
  })
}

function testsOf(name: string): string[] {
  const folders = ['unit', 'e2e'].map((folder) => join(ROOT_OF_TESTS, folder))
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => basename(file) === name)
      .map((file) => join(folder, file)),
  )
}

/** With a title that is made of parts, all that fit it. */
async function expectPassed(files: readonly string[], title: string): Promise<void> {
  const pattern = title
    .split(/\$\{[^}]*\}/)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  const args = [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=tap',
    `--test-name-pattern=${pattern}`,
    ...files,
  ]
  const env = { ...cleanEnvironment(), CMM_TEST_PACKAGES: process.env['CMM_TEST_PACKAGES'] }
  const child = spawn(process.execPath, args, { cwd: PACKAGE, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const report = await text(child.stdout)
  const [code] = (await ended) as [number | null]
  assert.equal(code, 0, report)
  const passed = report.split('\n').filter((line) => /^\s*ok \d+ - /.test(line) && !line.includes('# SKIP'))
  assert.ok(
    passed.some((line) => new RegExp(pattern).test(line)),
    `no test '${title}' was run: ${report}`,
  )
}

describe('directories', { skip: noSecondUser, concurrency: SIDE_BY_SIDE }, () => {
  test('H2 what another user has planted stays, is not followed, and stops no dump', async (t) => {
    const parent = scratch(t)
    const directory = makeDirectory(parent, 'tmp', 0o1777)
    const precious = join(parent, 'precious')
    writeFileSync(precious, 'precious', { mode: 0o600 })
    const planted = plant(directory, precious)
    const memory = { threshold: 0, interval: 100, limiter: [1, 'day'], sampling: false }
    for (let dump = 0; dump < 3; dump++) {
      const victim = await startVictim(t, { profileDir: directory, keep: 1, memory })
      await victim.until('a dump', () => victim.dumps().length > 0)
      await victim.order('stop')
      victim.child.kill('SIGKILL')
      await victim.ended
    }
    assert.equal(readFileSync(precious, 'utf8'), 'precious')
    assert.deepEqual(
      planted.filter((name) => !isThere(join(directory, name))),
      [],
    )
    const own = filesIn(directory).filter((name) => !planted.includes(name))
    assert.equal(own.length, 2, own.join(' '))
  })

  for (const umask of ['000', '022', '077', '777']) {
    test(`H4 under umask ${umask} files are 0600 and directories 0700`, async (t) => {
      const parent = makeDirectory(scratch(t), 'parent', 0o755)
      const directory = join(parent, 'made', 'here')
      const under = ['sh', '-c', `umask ${umask}; exec "$0" "$@"`]
      const victim = await startVictim(
        t,
        { profileDir: directory, memory: { threshold: '900gb' } },
        { under },
      )
      const result = await victim.order('dumpMemory')
      assert.ok('file' in result, JSON.stringify(result))
      const mode = (path: string): number => statSync(path).mode & 0o7777
      assert.deepEqual([mode(join(parent, 'made')), mode(directory)], [0o700, 0o700])
      const names = filesIn(directory)
      assert.ok(names.length >= 2)
      for (const name of names) assert.equal(mode(join(directory, name)), 0o600, name)
    })
  }

  test(
    'H4 on a file system without modes, below a directory of another user, no dump is made',
    { skip: noCompiler },
    async (t) => {
      const directory = makeDirectory(scratch(t), 'dumps', 0o755, evil())
      const victim = await startWithoutModes(t, directory)
      const result = await victim.order('dumpMemory')
      assert.ok('skipped' in result, JSON.stringify(result))
      assert.match(
        result.message ?? '',
        /because other users could read it: .* the mode 0755, and .* belongs to/,
      )
      assert.deepEqual(filesIn(directory), [])
    },
  )

  test(
    'H4 on a file system without modes, which the administrator has chosen, dumps are made and the start names it',
    { skip: noCompiler },
    async (t) => {
      const directory = makeDirectory(scratch(t), 'dumps', 0o755)
      const victim = await startWithoutModes(t, directory)
      assert.ok('file' in (await victim.order('dumpMemory')))
      await victim.until('a line', () =>
        victim.lines().some((line) => line.includes(' the mode 0755; mount it')),
      )
    },
  )

  test(
    'H4 on a file system without modes, in a directory that others cannot enter, the start names nothing',
    { skip: noCompiler },
    async (t) => {
      const directory = makeDirectory(scratch(t), 'dumps', 0o700)
      const victim = await startWithoutModes(t, directory)
      assert.ok('file' in (await victim.order('dumpMemory')))
      assert.ok(!victim.lines().some((line) => line.includes('0755')), victim.lines().join('\n'))
    },
  )

  for (const [what, below] of [
    ['a path of 4 KB', 'x/'.repeat(2048)],
    ['a name of 300 bytes', 'x'.repeat(300)],
    ['a path below /proc', '/proc/here'],
    ['a device', '/dev/null'],
    ['a path below a FIFO', 'fifo/here'],
    ['a FIFO', 'fifo'],
    ['a loop of symlinks', 'loop/here'],
  ] as const) {
    test(`H5 ${what} as the directory is named at start, fails the dump, and hangs nothing`, async (t) => {
      const parent = scratch(t)
      spawnSync('mkfifo', [join(parent, 'fifo')])
      symlinkSync('loop', join(parent, 'loop'))
      const profileDir = below.startsWith('/') ? below : join(parent, below)
      const victim = await startVictim(t, { profileDir })
      const result = await victim.order('dumpCpu', 10)
      assert.ok('skipped' in result, JSON.stringify(result))
      assert.ok(
        victim.lines().some((line) => line.includes('cannot be written')),
        victim.lines().join('\n'),
      )
    })
  }
})

/** The working directory is removed before Node starts, as by a deploy that replaces it. */
const REMOVE_AND_START = 'gone=$(mktemp -d) && cd "$gone" && rmdir "$gone" && exec "$0" "$@"'

describe('a working directory that was removed', { skip: noSecondUser, concurrency: SIDE_BY_SIDE }, () => {
  const more = { under: ['sh', '-c', REMOVE_AND_START] }

  for (const [what, options] of [
    ['as the default', {}],
    ['below which profileDir lies', { profileDir: './dumps' }],
  ] as const) {
    test(`H5 ${what} is named at start, and fails the dump`, async (t) => {
      const victim = await startVictim(t, { ...options, cpu: { threshold: 100_000 } }, more)
      const result = await victim.order('dumpCpu', 10)
      assert.ok('skipped' in result && result.skipped === 'failed', JSON.stringify(result))
      assert.match(result.message ?? '', /working-directory-removed/)
      const named = victim.lines().filter((line) => line.includes('cannot be written'))
      assert.equal(named.length, 1, victim.lines().join('\n'))
    })
  }

  test('H5 when profileDir lies elsewhere stops no dump', async (t) => {
    const victim = await startVictim(t, { profileDir: scratch(t), cpu: { threshold: 100_000 } }, more)
    assert.ok('file' in (await victim.order('dumpCpu', 10)))
    assert.deepEqual(victim.failures(), [])
  })
})

describe('signals and limits', { skip: noSecondUser, concurrency: SIDE_BY_SIDE }, () => {
  test('H6 another user may not send the signal', async (t) => {
    const victim = await startVictim(t, { profileDir: scratch(t) })
    const { uid, gid } = evil()
    const { status, stderr } = spawnSync('sh', ['-c', `kill -USR2 ${victim.pid}`], {
      uid,
      gid,
      encoding: 'utf8',
    })
    assert.notEqual(status, 0)
    assert.match(stderr, /not permitted/i)
    assert.ok('file' in (await victim.order('dumpMemory')))
    assert.equal(victim.dumps().length, 1)
  })

  test('H6 the signal in the tick of the start makes a dump', (t) => {
    const script = `const monitor = require(${JSON.stringify(PACKAGE)})({ profileDir: process.argv[1], logger: false })
      process.kill(process.pid, 'SIGUSR2')
      monitor.on('dump', ({ file }) => (console.log(file), process.exit()))
      setTimeout(() => {}, 30000)`
    const { status, stdout } = run(['-e', script, scratch(t)])
    assert.equal(status, 0)
    assert.ok(existsSync(stdout.trim()))
  })

  test('H7 without a descriptor left dumps fail, and are made again when there are', (t) => {
    const script = `const { openSync, closeSync } = require('node:fs')
      const monitor = require(${JSON.stringify(PACKAGE)})({ profileDir: process.argv[1], logger: false })
      const kind = (dump) => ('file' in dump ? 'file' : dump.skipped)
      setTimeout(async () => {
        const all = []
        try { for (;;) all.push(openSync('/dev/null')) } catch {}
        const first = kind(await monitor.dumpMemory())
        for (const fd of all) closeSync(fd)
        console.log(first, kind(await monitor.dumpMemory()))
        process.exit()
      }, 500)`
    const { status, stdout, stderr } = run(
      ['-e', script, scratch(t)],
      ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'],
    )
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    assert.equal(stdout, 'failed file\n')
  })

  test('H9 a limit on the size of files fails the dump, leaves nothing, and ends nothing', async (t) => {
    const directory = scratch(t)
    const victim = await startVictim(t, { profileDir: directory }, { under: ['prlimit', '--fsize=1000000'] })
    const result = await victim.order('dumpMemory')
    assert.ok('skipped' in result, JSON.stringify(result))
    assert.deepEqual(filesIn(directory), [])
    assert.ok('file' in (await victim.order('dumpCpu', 10)))
  })

  test('H15 the child has the rights of the application and no more, and nothing of it is open to another user', async (t) => {
    const victim = await startVictim(t, { profileDir: scratch(t) }, { args: ['20'] })
    const answer = victim.order('dumpMemory')
    const child = await until('a child', () => childrenOf(victim.pid)[0])
    const rights = (pid: number): string[] => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      return status
        .split('\n')
        .filter((line) => /^(Uid|Gid|Groups|CapEff|CapPrm|CapInh|CapBnd|NoNewPrivs):/.test(line))
    }
    assert.deepEqual(rights(child), rights(victim.pid))
    const { uid, gid } = evil()
    const { status } = spawnSync('head', ['-c', '1', `/proc/${child}/mem`], { uid, gid })
    assert.notEqual(status, 0)
    assert.ok('file' in (await answer))
  })
})

test('H17 secrets of the process are in its heap snapshot alone', async (t) => {
  const directory = scratch(t)
  const env = { TOKEN: 'secret-of-the-environment' }
  const args = ['0', '', 'secret-of-the-arguments']
  const options = { profileDir: directory, cpu: { threshold: 100_000 }, memory: { threshold: '900gb' } }
  const victim = await startVictim(t, options, { env, args })
  const dumps = [await victim.order('dumpCpu', 100), await victim.order('dumpMemory')]
  // V8 samples at random: of a process as young as this it may have no sample, and then there is no sampling profile.
  const artefacts = dumps.flatMap((dump) => (isDump(dump) ? dump.files : []))
  assert.ok(artefacts.length >= dumps.length, JSON.stringify(dumps))
  const described = artefacts.flatMap((file) => [basename(file), `${basename(file)}.json`])
  assert.deepEqual(filesIn(directory), described.sort())
  const secrets = ['secret-of-the-environment', 'secret-of-the-arguments', 'a-secret-of-the-service']
  const others = described.filter((name) => !name.endsWith('.heapsnapshot'))
  const shown = [
    ...others.map((name) => readFileSync(join(directory, name), 'utf8')),
    victim.output(),
    ...victim.lines(),
    ...filesIn(directory),
  ]
  for (const secret of secrets) assert.ok(!shown.some((text) => text.includes(secret)), secret)
  const snapshot = filesIn(directory).find((name) => name.endsWith('.heapsnapshot')) ?? ''
  assert.ok(readFileSync(join(directory, snapshot), 'utf8').includes('a-secret-of-the-service'))
})

test('H24 the package has no source of tests, no key, and no script that runs at install', () => {
  const command = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { status, stdout, stderr } = spawnSync('npm', command, { cwd: PACKAGE, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }]
  const known = /^(dist|docs|prebuilds)\/|^(README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/
  assert.deepEqual(
    files.filter(({ path }) => !known.test(path)),
    [],
  )
  assert.ok(!files.some(({ path }) => /\.(test\.js|pem|key|env)$/.test(path)))
  const { scripts } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as { scripts: object }
  assert.ok(!Object.keys(scripts).some((name) => /^(pre|post)?install$/.test(name)))
})

for (const poison of ['null', '1', '"x"', '{}', '{ claims: 1 }', '{ claims: new Set(), gate: 1 }']) {
  test(`H21 a registry of the process that is ${poison} is an error at the call, or none`, (t) => {
    const { REGISTRY_KEY } = createRequire(__filename)(join(PACKAGE, 'dist', registryFile())) as {
      REGISTRY_KEY: string
    }
    const script = `globalThis[Symbol.for(${JSON.stringify(REGISTRY_KEY)})] = ${poison}
      let monitor
      try { monitor = require(${JSON.stringify(PACKAGE)})({ profileDir: process.argv[1], logger: false, cpu: {} }) } catch (error) {
        console.log(error instanceof Error)
        process.exit()
      }
      setTimeout(() => monitor.stop().then(() => (console.log(true), process.exit())), 1200)`
    const { status, stdout, stderr } = run(['-e', script, scratch(t)])
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'true\n', stderr: '' })
  })
}

function startWithoutModes(t: TestContext, profileDir: string): Promise<Victim> {
  const LD_PRELOAD = compile('no-modes.c', 'no-modes.so', '-shared', '-fPIC')
  return startVictim(t, { profileDir, memory: { threshold: '900gb' } }, { env: { LD_PRELOAD } })
}

/** Things of many kinds under names of ours, most with old times, so that a careless deletion would begin with them. */
function plant(directory: string, precious: string): string[] {
  const { uid, gid } = evil()
  for (let n = 1; n <= 10; n++) {
    const names = [
      `memory-${n}-1.heapsnapshot`,
      `memory-${n}-1.heapsnapshot.json`,
      `memory-${n}-1.heapsnapshot.partial`,
    ]
    for (const [index, name] of names.entries()) {
      const path = join(directory, name)
      const kind = (n + index) % 5
      const sidecar = {
        tool: 'cpu-memory-monitor',
        artefact: `memory-${n}-1.heapsnapshot`,
        why: { rule: 'threshold' },
      }
      if (kind === 0) symlinkSync(precious, path)
      else if (kind === 1) symlinkSync('/dev/zero', path)
      else if (kind === 2) spawnSync('mkfifo', [path])
      else if (kind === 3) mkdirSync(path)
      else writeFileSync(path, JSON.stringify(sidecar))
      if (kind > 1) chownSync(path, uid, gid)
    }
  }
  return filesIn(directory)
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** The built file of the process registry, wherever it lies. */
function registryFile(): string {
  const files = readdirSync(join(PACKAGE, 'dist'), { recursive: true, encoding: 'utf8' })
  return files.find((file) => basename(file) === 'gate.js') ?? ''
}

function at(cwd: string): { cwd: string; env: NodeJS.ProcessEnv; timeout: number; killSignal: 'SIGKILL' } {
  return { cwd, env: cleanEnvironment(), timeout: 60_000, killSignal: 'SIGKILL' }
}

function run(
  args: readonly string[],
  under: readonly string[] = [],
): { status: number | null; stdout: string; stderr: string } {
  const [command = '', ...rest] = [...under, process.execPath, ...args]
  return spawnSync(command, rest, { ...at('/'), encoding: 'utf8' })
}
