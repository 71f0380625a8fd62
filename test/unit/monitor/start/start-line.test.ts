import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Started, startLine, startWarnings } from '../../../../src/monitor/start/start-line'
import type { NamedRule } from '../../../../src/watch/watch'

const idle: Started = {
  cpu: { directory: '/cpu' },
  memory: { directory: '/memory' },
  signal: undefined,
  thread: 'the main thread',
  ways: {
    cpu: { available: ['inspector'], passedOver: [] },
    memory: { available: ['v8', 'sampling'], passedOver: [] },
  },
}

const cpuAbove = (threshold: number, counter = 1) => {
  const budget = { tokensPerInterval: 3, intervalMs: 3_600_000 }
  return { cpu: { directory: '/cpu', rule: { intervalMs: 1000, threshold, counter, budget } } }
}
const memoryAbove = (threshold: number) => {
  const budget = { tokensPerInterval: 2, intervalMs: 500 }
  return { memory: { directory: '/memory', rule: { intervalMs: 1000, threshold, counter: 1, budget } } }
}

const ruleOf = (metric: NamedRule['metric'], threshold: number): NamedRule => ({
  name: 'mine',
  metric,
  threshold,
  dump: 'memory',
  intervalMs: 1000,
  counter: 3,
  budget: { tokensPerInterval: 2, intervalMs: 500 },
})

test('a rule is named with its metric, threshold, limits, kind of dump and directory', () => {
  for (const [metric, threshold, words] of [
    ['heap', 85, '85%'],
    ['external', 1536, '1.5KB'],
    ['eventLoopDelay', 200, '200 ms'],
    ['function', 7, '7'],
  ] as const)
    assert.equal(
      startLine({ ...idle, rules: [ruleOf(metric, threshold)] }),
      `watching mine: ${metric} above ${words} in 3 readings in a row (at most 2 memory dumps per 0.5 s to /memory); ` +
        'on the main thread',
    )
})

test('a rule that can never trip is warned of, with the reason; one that can is not', () => {
  const limits = { totalMemoryBytes: 4000, cpus: 2, cpusSource: 'machine' } as const
  const limited = { ...limits, memoryLimitBytes: 1000 }
  const warns = (metric: NamedRule['metric'], threshold: number, of: Parameters<typeof startWarnings>[1]) =>
    startWarnings({ ...idle, rules: [ruleOf(metric, threshold)] }, of).join()
  assert.match(
    warns('heap', 100, limits),
    /rule mine can never be exceeded: no reading is above 100%; set one below 100%$/,
  )
  assert.match(warns('eventLoopUtilization', 100, limits), /no reading is above 100%/)
  assert.match(
    warns('container', 90, limits),
    /no cgroup sets a memory limit.*; set a memory limit for the container, or remove the rule$/,
  )
  assert.match(warns('container', 100, limited), /the kernel ends a process/)
  assert.match(
    warns('external', 1000, limited),
    /of 1000B can never be exceeded: the cgroup's limit is 1000B, [^;]*; set a smaller one$/,
  )
  for (const [metric, threshold] of [
    ['heap', 99],
    ['eventLoopUtilization', 95],
    ['container', 90],
    ['external', 999],
    ['eventLoopDelay', 1e6],
    ['function', 1e9],
  ] as const)
    assert.equal(warns(metric, threshold, limited), '')
})

test('nothing configured is said as such', () => {
  assert.equal(startLine(idle), 'watching nothing; on the main thread')
})

test('each part that is watched is told with its threshold, limits, directory and ways', () => {
  assert.equal(
    startLine({ ...idle, ...cpuAbove(66.666, 3) }),
    'watching cpu above 66.7% of a core in 3 readings in a row (at most 3 cpu dumps per 3600 s to /cpu by inspector); on the main thread',
  )
  assert.equal(
    startLine({ ...idle, ...memoryAbove(1536) }),
    'watching memory above 1.5KB in 1 reading (at most 2 memory dumps per 0.5 s to /memory by v8, sampling); on the main thread',
  )
  assert.equal(
    startLine({ ...idle, signal: 'SIGUSR2' }),
    'watching SIGUSR2 (a heap snapshot to /memory); on the main thread',
  )
})

test('each optional package in use is named with its file, or as handed over', () => {
  const packages = [
    { name: 'heapdump', file: '/app/heapdump.js' },
    { name: 'memwatch-next', file: undefined },
  ]
  assert.equal(
    startLine({ ...idle, packages }),
    'watching nothing; on the main thread; optional packages: heapdump from /app/heapdump.js, memwatch-next passed in by the application',
  )
  assert.doesNotMatch(startLine({ ...idle, packages: [] }), /optional packages/)
})

test('the place that dumps are sent to is named', () => {
  assert.equal(
    startLine({ ...idle, sentTo: 's3://evidence/shop' }),
    'watching nothing; on the main thread; dumps are sent to s3://evidence/shop',
  )
  assert.doesNotMatch(startLine({ ...idle, sentTo: undefined }), /sent/)
})

test('ways that cannot be taken are told with the reason, each once', () => {
  const passedOver = [{ way: 'heapdump', why: 'not installed' }]
  const kind = { available: [], passedOver }
  const line = startLine({
    ...idle,
    ...cpuAbove(1),
    ways: { cpu: kind, memory: kind },
  })
  assert.match(line, /by nothing\); on the main thread; not used: heapdump \(not installed\)$/)
})

test('ways that nobody could ask for are not named as not used', () => {
  const kind = { available: [], passedOver: [{ way: 'heapdump', why: 'not installed' }] }
  const ways = { ...idle.ways, memory: kind }
  assert.doesNotMatch(startLine({ ...idle, ways }), /not used/)
  assert.match(startLine({ ...idle, ways, signal: 'SIGUSR2' }), /not used: heapdump/)
})

test('the source of the CPU readings is named, with the reason for another than pidusage', () => {
  const line = (cpuReadings?: string) => startLine({ ...idle, ways: { ...idle.ways, cpuReadings } })
  assert.match(line('pidusage'), /; on the main thread; CPU readings by pidusage$/)
  assert.match(
    line("Node's counters (pidusage failed: no)"),
    /; CPU readings by Node's counters \(pidusage failed: no\)$/,
  )
  assert.doesNotMatch(line(), /CPU readings/)
})

const roomy = { totalMemoryBytes: 1000, cpus: 4, cpusSource: 'machine' } as const

const cpuWarnings = (threshold: number, cpus: number, cpusSource: 'cgroup-v2' | 'machine' = 'cgroup-v2') =>
  startWarnings({ ...idle, ...cpuAbove(threshold) }, { ...roomy, cpus, cpusSource })

test('a CPU threshold that the quota or the machine cannot let trip is warned of, with both numbers', () => {
  assert.deepEqual(cpuWarnings(90, 0.5), [
    "the CPU threshold of 90% of a core can never be exceeded: the cgroup quota allows 0.5 cores (50%); set a smaller one; the string '90%' means 45% of a core here",
  ])
  assert.deepEqual(cpuWarnings(250, 2, 'machine'), [
    "the CPU threshold of 250% of a core can never be exceeded: the machine allows 2 cores (200%); set a smaller one; the string '90%' means 180% of a core here",
  ])
  assert.equal(cpuWarnings(50, 0.5).length, 1)
})

test('a CPU threshold below what the process may use is not', () => {
  assert.deepEqual(cpuWarnings(49.9, 0.5), [])
  assert.deepEqual(cpuWarnings(60, 1, 'machine'), [])
  assert.deepEqual(cpuWarnings(250, 4, 'machine'), [])
})

const memoryWarnings = (threshold: number, memoryLimitBytes?: number) =>
  startWarnings(
    { ...idle, ...memoryAbove(threshold) },
    memoryLimitBytes === undefined ? roomy : { ...roomy, memoryLimitBytes },
  )

test('a memory threshold at or above the limit, or what the machine has, is warned of, with both numbers', () => {
  const advice = "set a smaller one, or a share such as '85%' of that memory"
  for (const threshold of [100, 101]) {
    assert.deepEqual(memoryWarnings(threshold, 100), [
      `the memory threshold of ${threshold}B can never be exceeded: the cgroup's limit is 100B, where the kernel ends the process; ${advice}`,
    ])
  }
  assert.deepEqual(memoryWarnings(1000), [
    `the memory threshold of 1000B can never be exceeded: the machine has 1000B; ${advice}`,
  ])
})

test('a memory threshold below the limit is not', () => {
  assert.deepEqual(memoryWarnings(99, 100), [])
  assert.deepEqual(memoryWarnings(999), [])
})

test('nothing that is not watched is warned of', () => {
  assert.deepEqual(startWarnings(idle, { ...roomy, cpus: 0.01, memoryLimitBytes: 1 }), [])
})

test('limits that could not be read are one line, whatever is watched; limits that could be are none', () => {
  const problems = '/sys/fs/cgroup/memory.max line 1 is malformed ("512M")'
  assert.deepEqual(startWarnings(idle, { ...roomy, problems }), [
    `memory or CPU limits of this process are uncertain: ${problems}; a limit that cannot be read or parsed is ignored`,
  ])
  assert.deepEqual(startWarnings(idle, roomy), [])
})
