import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { RedisOptions } from '../../../dist/hooks/redis/index.js'
import { CLIENTS } from '../../../dist/hooks/redis/options.js'
import { startRedis } from '../../tools/services/redis.mjs'
import { Pod } from './pod'
import { HOUR_MS, PATIENT, redisFor, skip, taken, until } from './redis-server'

describe('the budget of a fleet', { skip }, () => {
  it('is exact over eight processes with all clients, and each refusal has its figures', async (t) => {
    const redis = await redisFor(t)
    const fleet = (client: (typeof CLIENTS)[number]): RedisOptions => ({
      ...PATIENT,
      url: redis.url,
      service: 'shop',
      client,
    })
    const pods = Array.from({ length: 8 }, (_, index) => {
      return new Pod(t, { fleet: fleet(CLIENTS[index % CLIENTS.length] ?? 'redis') })
    })
    const skips = await Promise.all(pods.map((pod) => pod.refused()))
    assert.equal(pods.flatMap((pod) => pod.dumps).length, 3)
    for (const { kind, rule, numbers } of skips) {
      assert.deepEqual([kind, rule], ['cpu', 'threshold'])
      const { renewsInMs = 0, ...budget } = numbers
      assert.deepEqual(budget, { tokensPerInterval: 3, intervalMs: HOUR_MS })
      assert.ok(renewsInMs > 0 && renewsInMs <= HOUR_MS, String(renewsInMs))
    }
    assert.equal(await taken(redis), 3)
  })

  it('is none of another service, nor of a process without it', async (t) => {
    const redis = await redisFor(t)
    const fleet = { ...PATIENT, url: redis.url, cpu: [1, 'hour'] as const }
    const [shop, depot, alone] = [
      new Pod(t, { fleet: { ...fleet, service: 'shop' } }),
      new Pod(t, { fleet: { ...fleet, service: 'depot' } }),
      new Pod(t, {}),
    ]
    await Promise.all([shop.dumped(), depot.dumped(), alone.dumped(2)])
    assert.deepEqual([await taken(redis), await taken(redis, 'depot')], [1, 1])
  })

  it('works without code, by variables', async (t) => {
    const redis = await redisFor(t)
    const pod = Pod.preloaded(t, {
      ...{ CMM_CPU_THRESHOLD: '0', CMM_CPU_COUNTER: '1', CMM_CPU_DURATION: '200' },
      ...{
        CMM_REDIS_URL: redis.url,
        CMM_REDIS_SERVICE: 'shop',
        CMM_REDIS_CPU: '[1, "hour"]',
        CMM_REDIS_TIMEOUT: '100000',
      },
    })
    await pod.until('a refusal', () => /cpu dump skipped: fleet/.exec(pod.stderr)?.[0])
    assert.equal(pod.stderr.match(/threshold cpu dump: /g)?.length, 1)
    assert.match(
      pod.stderr,
      /all processes of shop together make at most 1 dump per 3600 s for cpu .* in Redis at 127\.0\.0\.1:\d+ through \w+/,
    )
  })

  it('is asked by a process whose main thread never turns again', async (t) => {
    const redis = await redisFor(t)
    const fleet = { ...PATIENT, url: redis.url, service: 'shop', cpu: [1, 'hour'] as const }
    const pod = new Pod(t, { fleet }, 'blocks')
    await until('a token', async () => (await taken(redis)) === 1)
    const { directory } = pod.program
    await pod.program.until('a profile', () => findProfile(directory))
  })

  it('has the token back of a dump that fails, and another process uses it', async (t) => {
    const redis = await redisFor(t)
    const fleet = { ...PATIENT, url: redis.url, service: 'shop', cpu: [1, 'hour'] as const }
    // Its own budget has no second one.
    const failing = new Pod(t, { fleet, cpu: { duration: 2000, limiter: [1, 'hour'] } })
    await until('a token', async () => (await taken(redis)) === 1)
    rmSync(failing.program.directory, { recursive: true })
    await failing.program.until('a failure', () => failing.failures[0])
    await until('no token', async () => (await taken(redis)) === 0)
    await new Pod(t, { fleet }).dumped()
  })

  it('is renewed by a Redis that loses its data, and by no other', async (t) => {
    const redis = await redisFor(t)
    const fleet = { ...PATIENT, url: redis.url, service: 'shop', cpu: [1, 'hour'] as const }
    await new Pod(t, { fleet }).dumped()
    await new Pod(t, { fleet }).refused()
    await redis.ask('FLUSHALL')
    const third = new Pod(t, { fleet })
    await third.dumped()
    assert.deepEqual(third.failures, [])
  })
})

describe('a fleet without its Redis', { skip }, () => {
  it('makes no dump with an insurance of 0, until Redis is back; each is told once', async (t) => {
    const redis = await startRedis()
    await redis.stop()
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop', insurance: 0 } })
    const { numbers } = await pod.refused()
    assert.deepEqual(numbers, { insurance: 0, intervalMs: HOUR_MS })
    assert.deepEqual(pod.dumps, [])
    const again = await startRedis({ port: redis.port })
    t.after(() => again.stop())
    await pod.dumped()
    assert.deepEqual(
      pod.lines.map((line) => line.replace(/ at [\d.:]+ /, ' ')),
      [
        `fleet failed: the shared dump budget in Redis cannot be used: connect ECONNREFUSED 127.0.0.1:${redis.port}; ` +
          'until it can, each process makes at most 0 dumps of each kind per interval',
        'the shared dump budget in Redis is used again',
      ],
    )
    assert.equal(pod.failures.length, 1)
  })

  it('makes the dumps of its own budget without an insurance', async (t) => {
    const redis = await startRedis()
    await redis.stop()
    const limiter = [2, 'hour']
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop', cpu: [0, 'hour'] }, cpu: { limiter } })
    const insured = new Pod(t, {
      fleet: { url: redis.url, service: 'shop', cpu: [1, 'hour'] },
      cpu: { limiter },
    })
    await insured.dumped(2)
    assert.equal(insured.failures.length, 1)
    await pod.refused()
    assert.deepEqual(pod.dumps, [])
  })

  it('waits no longer than the timeout for one that hangs, and begins the dump then', async (t) => {
    const redis = await redisFor(t)
    redis.kill('SIGSTOP')
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop' } })
    await pod.dumped()
    assert.match(pod.failures[0]?.message ?? '', /cannot be used: no answer within 1000 ms; until/)
  })

  it('waits for one that is slow, if the timeout lets it', async (t) => {
    const redis = await redisFor(t, ['--enable-debug-command', 'yes'])
    void redis.ask('DEBUG', 'SLEEP', '3').catch(() => undefined)
    const pod = new Pod(t, { fleet: { url: redis.url, service: 'shop', timeout: 60_000 } })
    await pod.dumped()
    assert.deepEqual([pod.failures, await taken(redis)], [[], 1])
  })

  it('takes a read-only replica for one that is away', async (t) => {
    const main = await redisFor(t)
    const replica = await redisFor(t, ['--replicaof', `127.0.0.1 ${main.port}`])
    await until('the replica', async () =>
      (await replica.ask('INFO', 'replication')).includes('master_link_status:up'),
    )
    const pod = new Pod(t, { fleet: { url: replica.url, service: 'shop', insurance: 0 } })
    await pod.refused()
    assert.match(pod.failures[0]?.message ?? '', /cannot be used: READONLY .*; until/)
    assert.deepEqual(pod.dumps, [])
  })

  it('does not keep a process alive that waits for it on its main thread', async (t) => {
    const redis = await redisFor(t)
    redis.kill('SIGSTOP')
    for (const client of CLIENTS) {
      const fleet = { url: redis.url, service: 'shop', client, timeout: 2_147_483_647 }
      const pod = new Pod(t, { fleet, watchdog: false }, 'ends')
      assert.deepEqual(await pod.program.ended, { code: 0, signal: null }, client)
      assert.deepEqual(
        pod.skips.map(({ reason }) => reason),
        ['stopped'],
        `${client}: a question was open`,
      )
      assert.equal(pod.program.stderr, '')
    }
  })
})

function findProfile(directory: string): string | undefined {
  return readdirSync(directory).find((name) => name.endsWith('.cpuprofile'))
}
