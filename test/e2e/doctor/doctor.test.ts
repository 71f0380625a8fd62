import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, readdirSync, watch, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { Examination, Finding } from '../../../dist/doctor/index.js'
import { Program, programEnvironment, runToEnd, scratch } from '../../harness/program'
import { limitedTo, quotaOf } from '../monitor/memory-cgroup'

const DIST = join(__dirname, '../../../dist')
const CLI = join(DIST, 'reader/cli.js')
const REGISTER = join(DIST, 'register.js')
const major = Number.parseInt(process.versions.node, 10)
const hasHelper = existsSync(join(DIST, '../prebuilds'))
const GIB = 1024 ** 3

interface Surroundings {
  /** The command that starts Node.js. */
  readonly under?: readonly string[]
  readonly execArgv?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

/** A doctor that dumps into a directory of its own. */
async function examine(t: TestContext, { under = [], execArgv = [], env = {} }: Surroundings = {}) {
  const directory = scratch(t)
  const finished = await runToEnd([...under, process.execPath, ...execArgv, CLI, 'doctor', '--json'], {
    cwd: directory,
    env: programEnvironment(env),
  })
  assert.equal(finished.code, 0, finished.stderr)
  const { findings } = JSON.parse(finished.stdout) as Examination
  for (const { level, subject, text, advice } of findings)
    assert.equal(advice !== undefined || text.includes('not made'), level !== 'ok', `${subject}: ${text}`)
  assert.deepEqual(readdirSync(directory), [], 'it leaves nothing')
  const about = (subject: string): Finding => {
    const found = findings.filter((finding) => finding.subject === subject)
    return found[0] ?? assert.fail(`nothing about ${subject} in ${finished.stdout}`)
  }
  return { directory, findings, about, stderr: finished.stderr }
}

/** Has a shell write its number to a file and become Node.js. */
function joining(procs: string): string[] {
  return ['sh', '-c', `echo $$ >'${procs}' && exec "$@"`, 'sh']
}

describe('doctor', { concurrency: 1 }, () => {
  test('has tried what it reports, where nothing is in the way', async (t) => {
    const { about, findings, stderr } = await examine(t, { env: { CMM_MEMORY_THRESHOLD: '300mb' } })
    assert.equal(stderr, '')
    assert.match(about('watched').text, /memory above 300MB in 3 readings in a row.*on linux/)
    assert.match(about('cpu dump').text, /^by inspector/)
    assert.match(about('thread').text, /a thread of its own/)
    assert.deepEqual([about('PID 1').level, about('signal').level], ['ok', 'ok'])
    assert.match(about('trial of a cpu dump').text, /^made by inspector, [\d.]+K?B;/)
    assert.match(about('trial of a memory dump').text, hasHelper ? /^made by fork, [\d.]+MB/ : /^made by v8/)
    assert.ok(!findings.some(({ level }) => level === 'problem'))
  })

  test('puts the problems first, as text', async (t) => {
    const env = programEnvironment({ CMM_PROFILE_DIR: '/proc/none' })
    const { code, stdout } = await runToEnd([process.execPath, CLI, 'doctor'], { cwd: scratch(t), env })
    assert.equal(code, 0)
    assert.match(stdout, /^problem +directory: \/proc\/none cannot be created: .*\n +to do: set profileDir/)
    assert.match(stdout, /\nok +cpu dump: by inspector/)
    assert.match(stdout, /problem +trial of a memory dump: not made: its directory cannot be created/)
  })

  test('shows what a terminal obeys as text', async (t) => {
    const directory = join(scratch(t), 'a\u001b]0;title\u0007b')
    mkdirSync(directory)
    const env = programEnvironment({ CMM_PROFILE_DIR: directory })
    const { stdout } = await runToEnd([process.execPath, CLI, 'doctor'], { cwd: directory, env })
    assert.ok(stdout.includes('a\\u{1b}]0;title\\u{7}b'), stdout)
    assert.ok(!stdout.includes('\u001b'))
  })

  test('the defaults are no finding, a number above the heap limit is one', async (t) => {
    const small = { execArgv: ['--max-old-space-size=80'] }
    const usual = await examine(t, small)
    assert.deepEqual(
      usual.findings.filter(({ subject }) => subject === 'threshold'),
      [],
    )
    if (hasHelper) assert.ok(!usual.findings.some(({ level }) => level === 'problem'))
    const { about } = await examine(t, { ...small, env: { CMM_MEMORY_THRESHOLD: '1gb' } })
    assert.match(about('threshold').text, /of 1GB is unlikely to be reached.*, young generation included/)
  })

  test('a directory in which another user may rename gets nothing: what is removed there could be theirs', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root may give a directory away')
    const directory = scratch(t)
    chownSync(directory, 60009, 60009)
    const seen: unknown[] = []
    const watcher = watch(directory, (_, name) => seen.push(name))
    t.after(() => watcher.close())
    const { about } = await examine(t, { env: { CMM_PROFILE_DIR: directory } })
    assert.match(about('trial of a cpu dump').text, /^made by inspector/)
    // Events come in order: after that of this file none is missing.
    writeFileSync(join(directory, 'last'), '')
    while (!seen.includes('last')) await once(watcher, 'change')
    assert.deepEqual(
      seen.filter((name) => String(name).includes('doctor')),
      [],
    )
  })

  test('a directory that is missing is not created', async (t) => {
    const { directory, about } = await examine(t, { env: { CMM_PROFILE_DIR: 'made/later' } })
    assert.equal(about('directory').level, 'ok')
    assert.match(about('directory').text, /made\/later will be created with the first dump, .* free/)
    assert.ok(!existsSync(join(directory, 'made')))
  })

  test('when it is interrupted it leaves nothing either', async (t) => {
    const program = new Program(t, [process.execPath, CLI, 'doctor'], {
      env: programEnvironment(),
    })
    await program.until('a trial', () => readdirSync(program.directory)[0])
    program.kill('SIGINT')
    assert.deepEqual(await program.ended, { code: 130, signal: null }, program.stderr)
    assert.deepEqual(readdirSync(program.directory), [])
  })

  test('a wrong variable is a finding, and so is a package that is insisted on', async (t) => {
    const wrong = await examine(t, { env: { CMM_CPU_THRESHOLD: 'much' } })
    assert.match(wrong.about('configuration').text, /^CMM_CPU_THRESHOLD: /)
    assert.equal(wrong.about('configuration').level, 'problem')
    assert.match(wrong.about('trial of a cpu dump').text, /^made/)
    const missing = await examine(t, { env: { CMM_ENGINE: 'packages' } })
    assert.match(missing.about('start').text, /heapdump \(not installed\)/)
  })

  test('names the bucket that dumps would be sent to, and sends nothing', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    server.on('connection', () => assert.fail('it was connected to'))
    const { port } = server.address() as AddressInfo
    const ofBucket = { CMM_S3_BUCKET: 'evidence', CMM_S3_PREFIX: 'shop' }
    const env = { ...ofBucket, CMM_S3_ENDPOINT: `http://user:s3cret@127.0.0.1:${port}` }
    const { about, findings } = await examine(t, { env })
    assert.equal(
      about('uploads').text,
      `dumps are sent to s3://evidence/shop at 127.0.0.1:${port}; not tried`,
    )
    assert.match(about('trial of a cpu dump').text, /^made/)
    assert.doesNotMatch(JSON.stringify(findings), /s3cret/)
  })

  test('a preload in its own process stands back', async (t) => {
    const { about } = await examine(t, { execArgv: ['--require', REGISTER] })
    assert.match(about('trial of a cpu dump').text, /^made/)
  })

  test('without the helper it is in place, and says why', async (t) => {
    const { about } = await examine(t, { execArgv: ['--no-addons'] })
    const { level, text } = about('memory dump')
    assert.equal(level, 'note')
    assert.match(text, /^by v8, else by sampling; not by fork: .*addons/)
    assert.match(about('trial of a memory dump').text, /^made by v8.*not by fork/)
    assert.equal(about("V8's heap limit").level, major >= 26 ? 'ok' : 'note')
  })

  test('under --permission it names the flags that are missing', async (t) => {
    const flag = major >= 24 ? '--permission' : '--experimental-permission'
    const execArgv = [flag, '--allow-fs-read=*', '--allow-fs-write=*', '--no-warnings']
    const { about } = await examine(t, { execArgv })
    assert.match(about('permission model').text, /^refuses .*worker/)
    const { advice = '' } = about('permission model')
    assert.match(about('thread').text, /the main thread, because/)
    assert.equal(about('cpu dump').level, 'problem')
    assert.match(about('memory dump').text, /^by v8; not by fork/)
    assert.match(about('trial of a memory dump').text, /^made by v8/)
    // What it advises is enough.
    const flags = /^add ([- \w]+)/.exec(advice)?.[1]?.split(' ') ?? []
    assert.ok(flags.includes('--allow-worker'), advice)
    const allowed = await examine(t, { execArgv: [...execArgv, ...flags] })
    if (hasHelper) assert.match(allowed.about('trial of a memory dump').text, /^made by fork/)
    const hasFlag = process.allowedNodeEnvironmentFlags.has('--allow-inspector')
    assert.equal(allowed.about('permission model').level, hasFlag ? 'ok' : 'note')
    if (hasFlag) assert.match(allowed.about('trial of a cpu dump').text, /^made by inspector/)
    const readOnly = await examine(t, { execArgv: [flag, '--allow-fs-read=*', '--no-warnings'] })
    assert.equal(readOnly.about('directory').level, 'problem')
  })

  test('the limit of a container decides about room and thresholds', async (t) => {
    const group = limitedTo(t, GIB)
    if ('reason' in group) return t.skip(group.reason)
    const under = joining(group.procs)
    const heap = { execArgv: ['--max-old-space-size=900'] }
    const tight = await examine(t, { under, ...heap, env: { CMM_MEMORY_THRESHOLD: '85%' } })
    assert.match(tight.about('limits').text, /^1GB of memory \(cgroup-v[12]\)/)
    assert.equal(tight.about('memory for a snapshot').level, 'note')
    const advised = /lower memory\.threshold to about (\d+(?:\.\d)?MB)/.exec(
      tight.about('memory for a snapshot').advice ?? '',
    )?.[1]
    assert.ok(advised, tight.about('memory for a snapshot').advice)
    // Rounded figures and the page cache of the trial: a little less than advised fits.
    const threshold = `${Math.floor(Number.parseFloat(advised) * 0.9)}mb`
    const wide = await examine(t, { under, ...heap, env: { CMM_MEMORY_THRESHOLD: threshold } })
    assert.equal(wide.about('memory for a snapshot').level, 'ok')
    const never = await examine(t, { under, env: { CMM_MEMORY_THRESHOLD: '2gb' } })
    assert.equal(never.about('threshold').level, 'problem')
    assert.match(never.about('threshold').text, /can never be exceeded/)
  })

  test('a quota of half a core makes 90 % of a core unreachable', async (t) => {
    const group = quotaOf(t, 0.5)
    if ('reason' in group) return t.skip(group.reason)
    const { about } = await examine(t, { under: joining(group.procs), env: { CMM_CPU_THRESHOLD: '90' } })
    assert.match(about('limits').text, /0\.5 cores \(cgroup-v[12]\)/)
    assert.equal(about('limits').level, 'note')
    assert.match(about('threshold').text, /the CPU threshold of 90% of a core can never be exceeded/)
  })

  test('as PID 1 its end would end a dump', async (t) => {
    const unshare = ['unshare', '--pid', '--fork', '--mount-proc']
    if (spawnSync('unshare', [...unshare.slice(1), 'true']).status !== 0)
      return t.skip('no PID namespace can be made')
    const { about } = await examine(t, { under: unshare })
    assert.equal(about('PID 1').level, 'note')
    assert.match(about('PID 1').advice ?? '', /await monitor\.stop\(\)/)
  })

  test('a read-only file system stops the dump, not the doctor', async (t) => {
    const place = scratch(t)
    const unshare = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      `mount -t tmpfs -o ro none '${place}' && exec "$@"`,
      'sh',
    ]
    if (spawnSync('unshare', [...unshare.slice(1), 'true']).status !== 0)
      return t.skip('no file system can be mounted')
    const { about } = await examine(t, { under: unshare, env: { CMM_PROFILE_DIR: place } })
    assert.equal(about('directory').level, 'problem')
    assert.match(about('directory').text, /cannot be written: EROFS/)
    assert.equal(about('trial of a cpu dump').level, 'problem')
  })

  test('a directory in which others can rename is named', async (t) => {
    const open = join(scratch(t), 'open')
    mkdirSync(open)
    spawnSync('chmod', ['0777', open])
    const { findings } = await examine(t, { env: { CMM_PROFILE_DIR: open } })
    assert.ok(findings.some(({ text }) => text.startsWith(`other users can delete or move dumps in ${open}`)))
  })

  test('of a filter of system calls only a trial shows what it refuses', async (t) => {
    if (!hasHelper) return t.skip('the fork helper is not built')
    const filtered = join(scratch(t), 'filtered')
    const { error, status, stderr } = spawnSync('gcc', [
      '-o',
      filtered,
      join(__dirname, 'programs/filtered.c'),
    ])
    if (error) return t.skip(`no C compiler: ${error.message}`)
    assert.equal(status, 0, String(stderr))
    const none = await examine(t)
    assert.equal(none.about('seccomp').level, 'ok')
    const all = await examine(t, { under: [filtered, 'all'] })
    assert.equal(all.about('seccomp').level, 'note')
    assert.match(all.about('trial of a memory dump').text, /^made by fork/)
    const fork = await examine(t, { under: [filtered, 'fork'] })
    assert.equal(fork.about('trial of a memory dump').level, 'note')
    assert.match(fork.about('trial of a memory dump').text, /^made by v8.*not by fork: /)
  })

  test('a limit of the size of files is named', async (t) => {
    const { about } = await examine(t, { under: ['sh', '-c', 'ulimit -f 20480 && exec "$@"', 'sh'] })
    assert.equal(about('RLIMIT_FSIZE').level, 'problem')
    assert.match(
      about('RLIMIT_FSIZE').text,
      /no file may be larger than 10MB|no file may be larger than 20MB/,
    )
  })
})

describe('CMM_DOCTOR', { concurrency: 1 }, () => {
  const program = `process.on('SIGUSR2', () => {}); setTimeout(() => console.log('ran'), 1000)`
  const byCode = `require(${JSON.stringify(join(DIST, 'index.js'))})({ cpu: {}, logger: false }); ${program}`
  const run = (t: TestContext, env: NodeJS.ProcessEnv, ...args: string[]) =>
    runToEnd([process.execPath, ...args], {
      cwd: scratch(t),
      env: programEnvironment(env),
    })

  for (const [how, args] of [
    ['without code', ['--require', REGISTER, '--eval', program]],
    ['by code, whose logger is off', ['--eval', byCode]],
  ] as const) {
    test(`reports at the start what would happen, ${how}`, async (t) => {
      const { code, stdout, stderr } = await run(t, { CMM_DOCTOR: '1' }, ...args)
      assert.deepEqual([code, stdout], [0, 'ran\n'])
      assert.match(stderr, /^cpu-memory-monitor: doctor: ok: cpu dump: by inspector$/m)
      assert.match(
        stderr,
        /^cpu-memory-monitor: doctor: note: signal: SIGUSR2 triggers no heap snapshot: another listener takes it; to do: /m,
      )
      const lines = stderr.trimEnd().split('\n')
      for (const line of lines) assert.match(line, /^cpu-memory-monitor: doctor: /)
      const levels = lines.map((line) => ['problem', 'note', 'ok'].indexOf(line.split(': ')[2] ?? ''))
      assert.deepEqual(levels, [...levels].sort(), 'what needs something done comes first')
    })

    test(`prints nothing when it is not asked, ${how}`, async (t) => {
      const { code, stdout, stderr } = await run(t, {}, ...args)
      assert.deepEqual([code, stdout, stderr], [0, 'ran\n', ''])
    })
  }

  test('does not keep a process that ends at once', async (t) => {
    const { code, stdout } = await run(t, { CMM_DOCTOR: '1' }, '--require', REGISTER, '--eval', '0')
    assert.deepEqual([code, stdout], [0, ''])
  })
})
