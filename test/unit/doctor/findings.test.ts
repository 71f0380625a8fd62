import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingsOf, lateTrial } from '../../../src/doctor/findings'
import type { Facts } from '../../../src/doctor/look'
import { asLine, asText, inReadingOrder } from '../../../src/doctor/text'
import type { WatchSettings } from '../../../src/watch/watch'

const MIB = 1024 ** 2
const GIB = 1024 * MIB
const rule = {
  intervalMs: 1000,
  threshold: 90,
  counter: 3,
  budget: { tokensPerInterval: 3, intervalMs: 3_600_000 },
}
const settings = {
  cpu: { directory: '/dumps', rule },
  memory: { directory: '/dumps', rule: { ...rule, threshold: 500 * MIB } },
  rules: [],
} as unknown as WatchSettings
const directory = {
  directory: '/dumps',
  exists: true,
  whyNotWritable: undefined,
  whoCanTamper: undefined,
  disk: { freeBytes: 50 * GIB, isMemory: false },
}

/** A process in which nothing is in the way. */
const good: Facts = {
  settings,
  limits: { memoryLimitSource: 'none', totalMemoryBytes: 16 * GIB, cpus: 2, cpusSource: 'machine' },
  thread: 'a thread of its own',
  isOnOwnThread: true,
  ways: {
    cpu: { available: ['inspector'], passedOver: [{ way: 'v8-profiler-next', why: 'not installed' }] },
    memory: {
      available: ['fork', 'v8', 'sampling'],
      passedOver: [{ way: 'heapdump', why: 'not installed' }],
    },
  },
  unlikely: undefined,
  signal: 'SIGUSR2',
  atHeapLimit: { inWords: 'profile and snapshot by fork', hasDump: true },
  node: 'v24.0.0',
  platform: 'linux x64',
  directories: [directory],
  confinement: { isFiltered: false },
  room: { availableBytes: 8 * GIB, limitBytes: 16 * GIB },
  rssBytes: 100 * MIB,
  heapLimitBytes: 4 * GIB,
  endsItsChildren: false,
  refused: undefined,
  signalListeners: 1,
  sentTo: undefined,
}

/** What is not in order when a part differs. */
function wrong(change: Partial<Facts>): string[] {
  return findingsOf({ ...good, ...change }).flatMap(({ level, subject, text, advice }) =>
    level === 'ok' ? [] : [`${level}: ${subject}: ${text} | ${advice}`],
  )
}

function withMemoryWays(available: readonly string[], why: string): Partial<Facts> {
  return { ways: { ...good.ways, memory: { available, passedOver: [{ way: 'fork', why }] } } }
}

test('a process in which nothing is in the way has no problem, and lacks no optional package', () => {
  assert.deepEqual(wrong({}), [])
})

test('the bucket and the budget of the fleet are named, as far as there are any', () => {
  const about = (change: Partial<Facts>) =>
    findingsOf({ ...good, ...change }).flatMap(({ level, subject, text }) =>
      ['uploads', 'fleet'].includes(subject) ? [`${level}: ${subject}: ${text}`] : [],
    )
  assert.deepEqual(about({}), [])
  const fleet = { file: '', settings: 1, inWords: 'all processes of shop together make at most 3' }
  assert.deepEqual(about({ sentTo: 's3://evidence/shop', settings: { ...settings, fleet } }), [
    'ok: uploads: dumps are sent to s3://evidence/shop; not tried',
    'ok: fleet: all processes of shop together make at most 3; not tried',
  ])
})

test('a trial that is late blames another process only where that has the turn', () => {
  const textOf = (...late: Parameters<typeof lateTrial>) => lateTrial(...late).text
  assert.match(textOf(30_000, 'another'), /^not made within 30 s: another process .* is dumping$/)
  for (const holder of ['nobody', 'this process'] as const)
    assert.match(
      textOf(30_000, holder),
      /^not made within 30 s, although no other process .*: this process has too little CPU/,
    )
})

const cases: Readonly<Record<string, readonly [Partial<Facts>, ...RegExp[]]>> = {
  'a threshold that can never trip': [
    { settings: { ...settings, cpu: { ...settings.cpu, rule: { ...rule, threshold: 300 } } } },
    /^problem: threshold: .*\| set a smaller one/,
  ],
  'a threshold above the heap limit': [
    { unlikely: 'the memory threshold of 5 bytes is unlikely to be reached' },
    /^note: threshold: .*metric 'heap'/,
  ],
  'limits that cannot be read': [
    { limits: { ...good.limits, problems: 'x' } },
    /^note: limits: .*\| make the files of the cgroup readable/,
  ],
  'a quota below one core': [
    {
      limits: { ...good.limits, cpus: 0.5, cpusSource: 'cgroup-v2' },
      settings: { ...settings, cpu: { ...settings.cpu, rule: { ...rule, threshold: 40 } } },
    },
    /^note: limits: .*0\.5 cores \(cgroup-v2\)/,
  ],
  'no thread': [{ thread: 'the main thread', isOnOwnThread: false }, /^note: thread: .*RLIMIT_NPROC/],
  'another system': [
    withMemoryWays(['v8'], 'a snapshot by a forked child needs Linux, but this is darwin'),
    /^note: memory dump: by v8; not by fork.*only Linux/,
  ],
  'a bundled package': [withMemoryWays(['v8'], 'x (was the package bundled?)'), /out of the bundle$/],
  'a processor without a helper': [
    withMemoryWays(['v8'], 'no fork helper for the processor s390x: …'),
    /x64 and arm64$/,
  ],
  'a helper that does not load': [withMemoryWays(['v8'], 'failed to map segment'), /noexec mount/],
  'no way at all': [withMemoryWays([], 'x'), /^problem: memory dump: cannot be made; not by fork: x/],
  'no inspector': [
    withMemoryWays(['v8'], 'this Node was built without the inspector'),
    /a Node\.js that was built with the inspector/,
  ],
  'too little memory for a child': [
    { room: { availableBytes: GIB, limitBytes: 1.1 * GIB } },
    /^note: memory for a snapshot: a heap of 500MB needs 625MB of memory in a forked child, 560MB will .*about 471\.1MB/,
  ],
  'a file that takes memory too': [
    {
      directories: [{ ...directory, disk: { freeBytes: 50 * GIB, isMemory: true } }],
      room: { availableBytes: 2 * GIB, limitBytes: 16 * GIB },
    },
    /^note: memory for a snapshot: .* beside the reserve and the snapshot file, which is in memory too.*not on a tmpfs/,
  ],
  'nothing at the heap limit': [
    { atHeapLimit: { inWords: 'nothing (x)', hasDump: false } },
    /^note: V8's heap limit: 4GB, young generation included; .* nothing \(x\).*memory\.heapLimit/,
  ],
  'memory that is not watched': [
    { atHeapLimit: undefined, settings: { ...settings, memory: { ...settings.memory, rule: undefined } } },
    /^note: memory for a snapshot: a heap of 4GB /,
    /^note: V8's heap limit: .*\| watch memory/,
  ],
  'a directory that cannot be written': [
    { directories: [{ ...directory, whyNotWritable: 'EROFS' }] },
    /^problem: directory: \/dumps cannot be written: EROFS/,
  ],
  'a disk that is too small, and others who can delete': [
    { directories: [{ ...directory, whoCanTamper: '/ is open', disk: { freeBytes: GIB, isMemory: false } }] },
    /^problem: directory: .*1GB free: too little for a memory dump, which may need 2GB and leaves 256MB free/,
    /^note: directory: other users can delete .*: \/ is open/,
  ],
  'a disk that a redacted snapshot needs twice': [
    {
      settings: { ...settings, memory: { ...settings.memory, redact: true } },
      directories: [{ ...directory, disk: { freeBytes: 3 * GIB, isMemory: false } }],
      confinement: { isFiltered: false, fileSizeBytes: 2.5 * GIB },
    },
    /^problem: directory: .*too little for a memory dump, which may need 3\.\dGB/,
  ],
  'a disk of CPU profiles that is nearly full': [
    {
      settings: { ...settings, cpu: { ...settings.cpu, directory: '/profiles' } },
      directories: [
        { ...directory, directory: '/profiles', disk: { freeBytes: 100 * MIB, isMemory: false } },
      ],
    },
    /^problem: directory: \/profiles .*too little for a CPU dump, which may need 16MB and leaves 256MB free/,
  ],
  'a signal of another': [
    { signalListeners: 2 },
    /^note: signal: SIGUSR2 triggers no heap snapshot: another listener takes it/,
  ],
  'a signal that is taken natively': [{ signalListeners: 0 }, /^note: signal: .*a native handler/],
  'PID 1': [{ endsItsChildren: true }, /^note: PID 1: /],
  'the permission model before Node.js 24.12': [
    { refused: ['worker', 'inspector'], node: 'v24.11.1' },
    /^note: permission model: refuses worker, inspector \| add --allow-worker; CPU profiles.* Node\.js 24\.12/,
  ],
  'the permission model since Node.js 24.12': [
    { refused: ['addon', 'inspector'], node: 'v24.12.0' },
    /\| add --allow-addons --allow-inspector$/,
  ],
  'a filter of system calls': [{ confinement: { isFiltered: true } }, /^note: seccomp: /],
  'limits of the process': [
    { confinement: { isFiltered: false, fileSizeBytes: MIB, addressSpaceBytes: GIB } },
    /^problem: RLIMIT_FSIZE: no file may be larger than 1MB, a snapshot may take 2GB/,
    /^note: RLIMIT_AS: the process may use 1GB/,
  ],
}

for (const [name, [change, ...expected]] of Object.entries(cases)) {
  test(`${name} is a finding, with what to do`, () => {
    const found = wrong(change)
    assert.equal(found.length, expected.length, found.join('\n'))
    for (const [at, pattern] of expected.entries()) assert.match(found[at] ?? '', pattern)
    for (const each of found) assert.doesNotMatch(each, /\| undefined$/)
  })
}

test('what may be larger than needed is no finding', () => {
  assert.deepEqual(wrong({ confinement: { isFiltered: false, fileSizeBytes: 100 * GIB } }), [])
  assert.deepEqual(wrong({ signal: undefined, signalListeners: 0 }), [])
  assert.deepEqual(wrong({ refused: [] }), [])
  const profiles = { ...directory, directory: '/profiles', disk: { freeBytes: GIB, isMemory: false } }
  const apart = { settings: { ...settings, cpu: { ...settings.cpu, directory: '/profiles' } } }
  assert.deepEqual(wrong({ ...apart, directories: [directory, profiles] }), [])
})

test('problems come first, and a line has all of a finding', () => {
  const findings = [
    { subject: 'a', level: 'ok', text: 'fine' },
    { subject: 'b', level: 'problem', text: 'broken', advice: 'mend it' },
  ] as const
  assert.equal(asText(findings), 'problem b: broken\n        to do: mend it\nok      a: fine\n')
  assert.deepEqual(inReadingOrder(findings).map(asLine), [
    'doctor: problem: b: broken; to do: mend it',
    'doctor: ok: a: fine',
  ])
})

test('a CPU threshold that one busy thread cannot exceed is named as such, another is not', () => {
  const watchedWith = (threshold: number): string => {
    const cpu = { ...settings.cpu, rule: { ...rule, threshold } }
    return findingsOf({ ...good, settings: { ...settings, cpu } })[0]?.text ?? ''
  }
  assert.match(
    watchedWith(180),
    /cpu above 180% of a core .*; a single busy thread uses 100% of a core at most/,
  )
  assert.doesNotMatch(watchedWith(90), /single busy thread/)
})
