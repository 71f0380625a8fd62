import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSecret, fromPrimary, fromWorker, seal } from '../../../src/cluster/messages'
import { anyJson, assertNotPolluted, runs } from '../../harness/fuzz'

const secret = createSecret()
const KINDS = [
  ...['started', 'reading', 'over', 'listening', 'shut', 'joined', 'asked', 'closed', 'enough', 'drained'],
  ...['drain', 'last'],
]
const COMMAND = (seal({ kind: 'joined' }, secret) as { cmd: string }).cmd

const or = (...likely: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...likely) }, { weight: 1, arbitrary: anyJson })

/** Messages that resemble those of a cluster, each field of which may be anything. */
const messages = (secrets: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 1, arbitrary: fc.anything({ withBigInt: true, withNullPrototype: true }) },
    {
      weight: 9,
      arbitrary: fc.record(
        {
          cmd: or(COMMAND, 'NODE_CLUSTER'),
          secret: secrets,
          kind: or(...KINDS),
          rssBytes: or(0, 1e9),
          address: or('127.0.0.1:80'),
          reason: or('over', 'hard-limit', 'asked', 'stop'),
          dump: or(true, false),
          other: anyJson,
        },
        { requiredKeys: [] },
      ),
    },
  )

test('no message without the secret is read, whatever it holds', () => {
  fc.assert(
    fc.property(messages(or(createSecret(), secret.toUpperCase(), `${secret} `, [secret])), (message) => {
      assert.equal(fromWorker(message, secret), undefined)
      assert.equal(fromPrimary(message, secret), undefined)
      assertNotPolluted()
    }),
    runs(3000),
  )
})

test('a message with the secret is read as one that could have been sent, or not at all', () => {
  let read = 0
  fc.assert(
    fc.property(messages(fc.constant(secret)), (message) => {
      for (const from of [fromWorker, fromPrimary]) {
        const found = from(message, secret)
        if (found === undefined) continue
        read++
        // No field of the message but those of its kind.
        assert.deepEqual(from(seal(found, secret), secret), found)
        assert.ok(KINDS.includes(found.kind))
        if ('rssBytes' in found) assert.ok(Number.isFinite(found.rssBytes) && found.rssBytes >= 0)
        if ('address' in found) assert.equal(typeof found.address, 'string')
        assert.ok(!('other' in found) && !('secret' in found))
      }
      assertNotPolluted()
    }),
    runs(3000),
  )
  assert.ok(read > 0)
})
