import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  createSecret,
  fromPrimary,
  type FromWorker,
  fromWorker,
  seal,
  takeSecret,
  workerEnvironment,
} from '../../../src/cluster/messages'

const secret = createSecret()
const received = (message: object) => ({ cmd: 'NODE_CPU_MEMORY_MONITOR', secret, ...message })

const SENT: readonly FromWorker[] = [
  { kind: 'joined' },
  { kind: 'started', rssBytes: 40e6 },
  { kind: 'reading', rssBytes: 0 },
  { kind: 'over', rssBytes: 150e6 },
  { kind: 'asked' },
  { kind: 'listening', address: '127.0.0.1:8080' },
  { kind: 'shut', address: '/run/app.sock' },
  { kind: 'closed' },
  { kind: 'enough' },
  { kind: 'drained' },
]

/** None of these may throw, whatever is done with it. */
const ODD: readonly unknown[] = [
  undefined,
  null,
  NaN,
  Infinity,
  -1,
  1n,
  'text',
  '',
  true,
  [],
  {},
  { toString: 1 },
  Object.create(null),
  new Map(),
  new Date(NaN),
  new Error('odd'),
  new Uint8Array(1),
]

describe('what a worker sends', () => {
  for (const message of SENT) {
    test(`${JSON.stringify(message)} is read as it was sent, and only with the secret`, () => {
      assert.deepEqual(fromWorker(seal(message, secret), secret), message)
      assert.equal(fromWorker(seal(message, createSecret()), secret), undefined)
      assert.equal(fromWorker({ ...seal(message, secret), cmd: 'NODE_OTHER' }, secret), undefined)
      assert.equal(fromPrimary(seal(message, secret), secret), undefined)
    })
  }

  for (const kind of ['started', 'reading', 'over']) {
    test(`${kind} has a size: a finite number, at least 0`, () => {
      for (const rssBytes of ODD)
        assert.equal(fromWorker(received({ kind, rssBytes }), secret), undefined, String(typeof rssBytes))
      assert.ok(fromWorker(received({ kind, rssBytes: 1 }), secret))
    })
  }

  for (const kind of ['listening', 'shut']) {
    test(`${kind} has an address: a string`, () => {
      for (const address of ODD.filter((odd) => typeof odd !== 'string')) {
        assert.equal(fromWorker(received({ kind, address }), secret), undefined)
      }
    })
  }
})

describe('what the primary sends', () => {
  test('an order to drain is read as it was sent, and only with the secret', () => {
    for (const reason of ['over', 'hard-limit', 'asked', 'stop'] as const) {
      const order = { kind: 'drain', reason, dump: reason === 'over' } as const
      assert.deepEqual(fromPrimary(seal(order, secret), secret), order)
      assert.equal(fromPrimary(seal(order, createSecret()), secret), undefined)
      assert.equal(fromWorker(seal(order, secret), secret), undefined)
    }
  })

  test('that no socket comes any more is read as it was sent, and only with the secret', () => {
    assert.deepEqual(fromPrimary(seal({ kind: 'last' }, secret), secret), { kind: 'last' })
    assert.equal(fromPrimary(seal({ kind: 'last' }, createSecret()), secret), undefined)
    assert.equal(fromWorker(seal({ kind: 'last' }, secret), secret), undefined)
  })

  test('a reason or a wish for a dump of another kind makes it no order', () => {
    for (const odd of [...ODD, 'orphaned']) {
      assert.equal(fromPrimary(received({ kind: 'drain', reason: odd, dump: true }), secret), undefined)
      if (odd !== true)
        assert.equal(fromPrimary(received({ kind: 'drain', reason: 'stop', dump: odd }), secret), undefined)
    }
  })
})

for (const read of [fromWorker, fromPrimary]) {
  test(`${read.name} takes odd values for messages of others, and does not throw`, () => {
    for (const odd of ODD) {
      assert.equal(read(odd, secret), undefined)
      assert.equal(read({ cmd: odd, secret, kind: 'over', rssBytes: 1 }, secret), undefined)
      assert.equal(read(received({ secret: odd, kind: 'over', rssBytes: 1 }), secret), undefined)
      assert.equal(read(received({ kind: odd, rssBytes: 1, place: 1 }), secret), undefined)
    }
  })
}

test('inherited properties do not count', (t) => {
  const polluted = Object.prototype as Record<string, unknown>
  const forged = received({ kind: 'over', rssBytes: 1 })
  Object.assign(polluted, forged)
  t.after(() => Object.keys(forged).forEach((key) => Reflect.deleteProperty(polluted, key)))
  assert.equal(fromWorker({}, secret), undefined)
  assert.equal(fromWorker({ cmd: 'NODE_CPU_MEMORY_MONITOR', kind: 'joined' }, secret), undefined)
  assert.equal(fromWorker({ cmd: 'NODE_CPU_MEMORY_MONITOR', secret, kind: 'started' }, secret), undefined)
})

describe('the secret', () => {
  test('is taken out of the environment, once', () => {
    const given = workerEnvironment(secret)
    for (const [name, value] of Object.entries(given)) {
      process.env[name] = value.replace(String(process.pid), String(process.ppid))
    }
    assert.equal(takeSecret(), secret)
    for (const name of Object.keys(given)) assert.equal(process.env[name], undefined)
    assert.equal(takeSecret(), undefined)
  })

  test('is not for a process that inherits it from a worker', () => {
    Object.assign(process.env, workerEnvironment(secret))
    assert.equal(takeSecret(), undefined)
    for (const name of Object.keys(workerEnvironment(secret))) assert.equal(process.env[name], undefined)
  })

  test('differs from cluster to cluster', () => {
    assert.notEqual(createSecret(), createSecret())
  })
})
