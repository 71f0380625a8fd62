import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DEFAULT_TIMEOUT_MS,
  placeOf,
  type RedisOptions,
  resolveRedisOptions,
} from '../../../../src/hooks/redis/options'

const least: RedisOptions = { url: 'redis://redis', service: 'shop' }

test('URL and service are enough', () => {
  const hourly = { tokensPerInterval: 3, intervalMs: 3_600_000 }
  assert.equal(DEFAULT_TIMEOUT_MS, 1000)
  assert.deepEqual(resolveRedisOptions(least), {
    ...{ ...least, budgets: { cpu: hourly, memory: hourly }, timeoutMs: 1000 },
    ...{ insurance: undefined, client: undefined },
  })
})

test('each kind has a budget of its own', () => {
  const { budgets } = resolveRedisOptions({ ...least, cpu: [5, 'min'], memory: [0, 'day'] })
  assert.deepEqual(budgets, {
    cpu: { tokensPerInterval: 5, intervalMs: 60_000 },
    memory: { tokensPerInterval: 0, intervalMs: 86_400_000 },
  })
})

test('what is wrong is refused by its name', () => {
  const cases: readonly [object, RegExp][] = [
    [{ url: undefined }, /^TypeError: options\.redis\.url must be a URL .*received undefined$/],
    [{ service: undefined }, /^TypeError: options\.redis\.service must be a name .*received undefined$/],
    [{ service: 'a shop' }, /^RangeError: options\.redis\.service .*received 'a shop'$/],
    [{ service: '{shop}' }, /^RangeError: options\.redis\.service /],
    [{ cpu: 3 }, /^TypeError: options\.redis\.cpu must be an array/],
    [{ memory: [-1, 'hour'] }, /^RangeError: options\.redis\.memory\[0\] /],
    [{ insurance: -1 }, /^RangeError: options\.redis\.insurance must be a whole number, at least 0/],
    [{ timeout: 0 }, /^RangeError: options\.redis\.timeout must be a whole number of milliseconds/],
    [
      { client: 'valkey-glide' },
      /^RangeError: options\.redis\.client must be one of 'ioredis', 'redis', 'iovalkey'/,
    ],
    [
      { limiter: [3, 'hour'] },
      /^TypeError: options\.redis\.limiter is not an option; options\.redis takes url, /,
    ],
  ]
  for (const [wrong, message] of cases)
    assert.throws(
      () => resolveRedisOptions({ ...least, ...wrong }),
      (error) => message.test(String(error)),
      String(message),
    )
})

test('no URL is shown, because it may hold a password', () => {
  for (const url of ['http://user:pa55word@redis', 'redis//:pa55word@redis', 'redis://', 'pa55word'])
    assert.throws(
      () => resolveRedisOptions({ ...least, url }),
      (error) =>
        error instanceof RangeError && !error.message.includes('pa55word') && /not shown/.test(error.message),
    )
  const secret = 'redis://user:pa55word@redis'
  for (const options of [secret, { ...least, url: new URL(secret) }, { ...least, cpu: secret }, [secret]])
    assert.throws(
      () => resolveRedisOptions(options as unknown as RedisOptions),
      (error) => error instanceof TypeError && !error.message.includes('pa55word'),
    )
  assert.equal(placeOf({ url: 'redis://user:pa55word@redis/3' }), 'redis:6379')
  assert.equal(placeOf({ url: 'rediss://[::1]:7000' }), '[::1]:7000')
})
