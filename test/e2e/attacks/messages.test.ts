// Messages on the channels between primary and workers that the application passes on for somebody else.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { SIDE_BY_SIDE } from './attacker'
import { PROGRAMS, startVictim, type Victim } from './victim'

const TAG = 'cpu-memory-monitor/cluster'
const COMMAND = 'NODE_CPU_MEMORY_MONITOR'
/** Things that break what trusts them. */
const HOSTILE: unknown[] = [
  { toString: 1 },
  {},
  [],
  null,
  'abc',
  '',
  true,
  -1,
  1e308,
  { valueOf: {} },
  '__proto__',
]
const GUESSES: object[] = [
  {},
  ...['', 'secret', 0, true, null].map((word) => ({ word, secret: word, token: word })),
]

/** Shapes that messages of a cluster have had. */
const shapes = (content: object): object[] => [{ [TAG]: content }, { cmd: COMMAND, ...content }]

const FORGED = [
  ...HOSTILE.flatMap((value) => [
    { kind: 'shut', place: value },
    { kind: 'over', rssBytes: value },
    { kind: 'ready', rssBytes: value },
    { kind: 'started', rssBytes: value },
    { kind: 'reading', rssBytes: value },
    { kind: value },
  ]),
  ...['leave', 'closed', 'drained', 'joined', 'asked', 'toString', '__proto__'].map((kind) => ({ kind })),
  { kind: 'over', rssBytes: 5e9 },
  { kind: 'shut', place: 80 },
].flatMap((content) => GUESSES.flatMap((guess) => shapes({ ...content, ...guess })))

/** The content is not even an object, or the tag is not the only key. */
const MISSHAPEN: unknown[] = [
  ...HOSTILE.map((value) => ({ [TAG]: value })),
  { [TAG]: { kind: 'over', rssBytes: 5e9 }, more: 1 },
  { __proto__: { [TAG]: { kind: 'leave' } } },
  ...HOSTILE,
]

describe('forged messages', { concurrency: SIDE_BY_SIDE }, () => {
  for (const serialization of ['json', 'advanced']) {
    test(`F6 from a worker end and move nothing, serialization ${serialization}`, async (t) => {
      const { victim, port } = await startCluster(t, { serialization })
      const before = await victim.order('pids')
      const messages = [...FORGED, ...MISSHAPEN]
      for (const message of messages) await post(port, '/forward', message)
      await unmoved(victim, port, before)
    })
  }

  test('F6 with values that JSON does not have: the same', async (t) => {
    const { victim, port } = await startCluster(t, { serialization: 'advanced' })
    const before = await victim.order('pids')
    for (const value of ['bigint', 'nan', 'infinity', 'map', 'date', 'error']) {
      for (const [kind, key] of [
        ['over', 'rssBytes'],
        ['reading', 'rssBytes'],
        ['ready', 'rssBytes'],
        ['shut', 'place'],
      ] as const)
        await post(port, '/strange', { tag: TAG, content: { kind }, key, value })
      await post(port, '/strange', {
        tag: 'any',
        content: { cmd: COMMAND, kind: 'over' },
        key: 'rssBytes',
        value,
      })
    }
    await unmoved(victim, port, before)
  })

  test('F6 they are the messages of the application, which hears them', async (t) => {
    const { victim, port } = await startCluster(t, {})
    const forged = { [TAG]: { kind: 'leave' } }
    await post(port, '/forward', forged)
    await post(port, '/forward', { any: 'message' })
    const mine = JSON.stringify([forged, { any: 'message' }])
    const heard = (): unknown[] => victim.heard().filter((one) => mine.includes(JSON.stringify(one)))
    await victim.until('both messages', () => heard().length >= 2)
    assert.deepEqual(JSON.stringify(heard()), mine)
  })

  test('F7 to the workers drain nobody', async (t) => {
    const { victim, port } = await startCluster(t, {})
    const before = await victim.order('pids')
    for (const reason of ['asked', 'over', 'hard-limit', 'stop', { toString: 1 }]) {
      for (const guess of GUESSES) {
        for (const message of shapes({ kind: 'drain', reason, dump: true, ...guess }))
          await victim.order('toWorkers', message)
      }
    }
    for (const message of [...FORGED.slice(0, 20), ...MISSHAPEN.filter((one) => one !== null)])
      await victim.order('toWorkers', message)
    await unmoved(victim, port, before)
  })
})

async function startCluster(t: TestContext, options: object): Promise<{ victim: Victim; port: number }> {
  const victim = await startVictim(t, options, { program: join(PROGRAMS, 'cluster.js') })
  return { victim, port: await victim.order<number>('port') }
}

/** The same workers serve, and nothing was reported. */
async function unmoved(victim: Victim, port: number, before: unknown): Promise<void> {
  const answers = await Promise.all(Array.from({ length: 60 }, () => post(port, '/')))
  assert.deepEqual(new Set(answers.map(Number)), new Set(before as number[]))
  assert.deepEqual(await victim.order('events'), [])
  assert.deepEqual(await victim.order('pids'), before)
  assert.equal(victim.output(), '')
}

/** On a connection of its own, so that the workers take turns. */
async function post(port: number, path: string, body: unknown = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path, method: 'POST', agent: false }, (response) => {
      text(response).then(resolve, reject)
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}
