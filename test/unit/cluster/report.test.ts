import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LINES, startWarnings, toPublication, USUAL_WORKERS_PER_CORE } from '../../../src/cluster/report'

const who = { id: 4, pid: 44 }
const LIMIT_BYTES = 150e6
const facts = { workerFile: '/app/server.js', startTimeoutMs: 30_000 }

test('times are whole ms', () => {
  const told = (news: Parameters<typeof toPublication>[0]) => toPublication(news, who, LIMIT_BYTES).event
  const gone = { key: 4, code: 0, signal: null }
  assert.deepEqual(told({ name: 'recycled', ...gone, reason: 'over', rssBytes: 160e6, durationMs: 1734.6 }), {
    ...who,
    rss: 160e6,
    reason: 'over',
    ms: 1735,
    code: 0,
    signal: null,
  })
  assert.deepEqual(told({ name: 'crash', ...gone, cause: 'exit', uptimeMs: 12.4, missing: [] }), {
    ...who,
    cause: 'exit',
    code: 0,
    signal: null,
    uptime: 13,
    missing: [],
  })
  assert.deepEqual(told({ name: 'backoff', delayMs: 999.5, step: 1 }), { ms: 1000, step: 1 })
  assert.deepEqual(told({ name: 'thrash', key: 4, lifetimeMs: 0.4, delayMs: 250.7 }), {
    ...who,
    lifetime: 0,
    ms: 251,
  })
})

test('only a worker that was never ready has no uptime', () => {
  const uptime = (uptimeMs: number) => {
    const news = {
      name: 'crash',
      key: 4,
      code: 1,
      signal: null,
      cause: 'exit',
      missing: [],
      uptimeMs,
    } as const
    const told = toPublication(news, who, LIMIT_BYTES)
    assert.ok(told.name === 'crash')
    return [told.event.uptime, LINES.crash(told.event, facts)]
  }
  assert.deepEqual(uptime(0), [0, 'worker 4 (pid 44) is lost: exit, code 1, before it was ready'])
  assert.deepEqual(uptime(0.2), [1, 'worker 4 (pid 44) is lost: exit, code 1, 1 ms after it was ready'])
})

test('the line of a worker that was not ready in time reports what was missing, that of another loss nothing', () => {
  const lossOf = (cause: 'start-timeout' | 'run-not-called' | 'exit', missing: readonly string[]) =>
    LINES.crash({ ...who, cause, missing, code: null, signal: 'SIGKILL', uptime: 0 }, facts)
  assert.deepEqual(
    [
      lossOf('start-timeout', []),
      lossOf('start-timeout', ['4:127.0.0.1:80', '4:127.0.0.1:81']),
      lossOf('run-not-called', []),
      lossOf('exit', []),
    ],
    [
      'worker 4 (pid 44) is lost: start-timeout, SIGKILL, before it was ready: ' +
        'runFunc had not settled 30000 ms after the fork (startTimeout)',
      'worker 4 (pid 44) is lost: start-timeout, SIGKILL, before it was ready: ' +
        'it did not listen on 4:127.0.0.1:80, 4:127.0.0.1:81',
      'worker 4 (pid 44) is lost: run-not-called, SIGKILL, before it was ready: ' +
        '/app/server.js did not call run() in time; ' +
        'the file that workers execute (exec of cluster.setupPrimary) must call it',
      'worker 4 (pid 44) is lost: exit, SIGKILL, before it was ready',
    ],
  )
})

test('memory is in bytes, not rounded', () => {
  for (const name of ['over', 'limit-unreachable'] as const) {
    const { event } = toPublication(
      { name, key: 4, rssBytes: 160e6, limitBytes: LIMIT_BYTES },
      who,
      LIMIT_BYTES,
    )
    assert.deepEqual(event, { ...who, rss: 160e6, limit: LIMIT_BYTES })
  }
})

describe('more workers than cores can carry', () => {
  const limits = { totalMemoryBytes: 1e15 } as Parameters<typeof startWarnings>[1]
  const warnings = (count: number, cores: number) =>
    startWarnings({ count, maxSurge: 1, limitBytes: 1 }, limits, cores)

  test('four per core are usual, one more draws a warning with both numbers', () => {
    assert.equal(USUAL_WORKERS_PER_CORE, 4)
    assert.deepEqual(warnings(8, 2), [])
    assert.deepEqual(warnings(9, 2), [
      '9 workers share 2 cores: lower options.count or the environment variable CPU_COUNT',
    ])
  })
})
