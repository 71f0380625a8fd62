import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { openFleet, redisBudget, type RedisOptions } from '../../../dist/hooks/redis/index.js'
import { CLIENTS } from '../../../dist/hooks/redis/options.js'
import { HOUR_MS, PATIENT, redisFor, skip, taken, until } from './redis-server'

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
      redis.kill('SIGSTOP')
      const before = process.getActiveResourcesInfo()
      assert.ok('giveBack' in (await open({ timeout: 500 }).take('cpu')))
      assert.match(told.pop() ?? '', /cannot be used: no answer within 500 ms/)
      await new Promise((resolve) => setImmediate(resolve))
      const after = process.getActiveResourcesInfo()
      // Timers of earlier requests and of the test runner may have ended meanwhile.
      for (const kind of before) {
        const at = after.indexOf(kind)
        if (at >= 0) after.splice(at, 1)
      }
      assert.deepEqual(after, [], 'what keeps a process alive')
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
