import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { before, describe, it, type TestContext } from 'node:test'
import { openFleet, redisBudget, type RedisOptions } from '../../../dist/hooks/redis/index.js'
import { CLIENTS } from '../../../dist/hooks/redis/options.js'
import { PATIENCE_MS } from '../../harness/program'
import { type RunningRedis, startRedis, whyNoRedis } from '../../tools/services/redis.mjs'
import { Pod } from './pod'

const skip = whyNoRedis() ?? false
if (skip !== false && process.env['CI'] === 'true') throw new Error(skip)

const HOUR_MS = 3_600_000
/** A process that gets no CPU is late as well. */
const PATIENT = { timeout: 100_000 }

async function redisFor(t: TestContext, args: readonly string[] = []): Promise<RunningRedis> {
  const redis = await startRedis({ args })
  t.after(() => redis.stop())
  return redis
}

/** What lies in Redis for CPU dumps. */
async function taken(redis: RunningRedis, service = 'shop'): Promise<number> {
  const answer = await redis.ask('GET', `cpu-memory-monitor:{${service}}:cpu`)
  return answer === '$-1\r\n' ? 0 : Number(answer.split('\r\n')[1])
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const givesUpAtMs = performance.now() + PATIENCE_MS
  while (!(await look())) {
    assert.ok(performance.now() < givesUpAtMs, `waited in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

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
      /of all processes of shop at most 1 per 3600 s for cpu .* by \w+ and Redis at 127\.0\.0\.1:/,
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
    const failing = new Pod(t, { fleet, cpu: { duration: 2000 } })
    await until('a token', async () => (await taken(redis)) === 1)
    rmSync(failing.program.directory, { recursive: true })
    await failing.program.until('a failure', () => failing.failures[0])
    failing.program.kill('SIGKILL')
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
        `fleet failed: the budget in Redis cannot be used: connect ECONNREFUSED 127.0.0.1:${redis.port}; ` +
          'until it can, each process makes at most 0 dumps of a kind per interval',
        'the budget in Redis is used again',
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

describe('each client', { skip }, () => {
  let rejections: unknown[] = []
  before(() => {
    rejections = []
    process.on('unhandledRejection', (reason) => rejections.push(reason))
  })

  for (const client of CLIENTS)
    it(`${client} takes, refuses, gives back, and keeps its failures to itself`, async (t) => {
      const redis = await redisFor(t)
      const told: string[] = []
      const report = {
        failure: ({ message }: { message: string }) => told.push(message),
        notice: (line: string) => told.push(line),
      }
      const open = (more: Partial<RedisOptions> = {}) => {
        const plan = redisBudget({
          ...PATIENT,
          url: redis.url,
          service: 'shop',
          client,
          cpu: [2, 'hour'],
          ...more,
        })
        return openFleet(structuredClone(plan.settings), report)
      }
      const [first, second, third] = [open(), open(), open()]
      const token = await first.take('cpu')
      assert.ok('giveBack' in token && 'giveBack' in (await second.take('cpu')))
      for (let times = 0; times < 5; times++) assert.ok('refused' in (await open().take('cpu')))
      // In spite of the refusals one token that comes back is one dump.
      token.giveBack()
      await until('a token', async () => (await taken(redis)) === 1)
      assert.ok('giveBack' in (await third.take('cpu')))
      assert.ok('refused' in (await open().take('cpu')))
      assert.equal(await taken(redis), 2)
      const ttl = Number((await redis.ask('PTTL', 'cpu-memory-monitor:{shop}:cpu')).slice(1))
      assert.ok(ttl > 0 && ttl <= HOUR_MS, String(ttl))
      assert.deepEqual(told, [])

      await redis.ask('CONFIG', 'SET', 'requirepass', 'secret')
      assert.ok('giveBack' in (await open().take('cpu')))
      assert.match(told.pop() ?? '', /cannot be used: NOAUTH/)
      assert.ok('refused' in (await open({ url: redis.url.replace('//', '//:secret@') }).take('cpu')))
      assert.ok('giveBack' in (await open({ url: redis.url.replace('//', '//:wrong@') }).take('cpu')))
      assert.match(told.pop() ?? '', /cannot be used: (WRONGPASS|NOAUTH)/)
      for (const url of ['redis://127.0.0.1:1', redis.url.replace('redis:', 'rediss:')]) {
        assert.ok('giveBack' in (await open({ url, timeout: 500 }).take('cpu')))
        assert.match(told.pop() ?? '', /cannot be used: /)
      }
      assert.deepEqual(told, [])
      // All that was left behind has settled by the time that the server is gone.
      await redis.stop()
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(rejections, [])
    })

  it('gives a token of an interval that is over to nobody', async (t) => {
    const redis = await redisFor(t)
    const report = { failure: () => undefined, notice: () => undefined }
    const plan = redisBudget({ ...PATIENT, url: redis.url, service: 'shop', cpu: [1, 100] })
    const open = () => openFleet(plan.settings, report)
    const early = await open().take('cpu')
    await until('the end of the interval', async () => (await taken(redis)) === 0)
    await open().take('cpu')
    if ('giveBack' in early) early.giveBack()
    await until(
      'the end of the second',
      async () => (await redis.ask('EXISTS', 'cpu-memory-monitor:{shop}:cpu')) === ':0\r\n',
    )
    assert.equal((await redis.ask('INFO', 'commandstats')).match(/cmdstat_eval\w*:calls=(\d+)/)?.[1], '2')
  })
})

function findProfile(directory: string): string | undefined {
  return readdirSync(directory).find((name) => name.endsWith('.cpuprofile'))
}
