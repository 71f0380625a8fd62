import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Dump, Failure } from '../../../src/dispatch/events.js'
import { type MonitorEvents, Voice } from '../../../src/monitor/voice.js'

const dump: Dump = {
  ...{ kind: 'cpu', rule: 'threshold', file: '/d/a.cpuprofile', files: ['/d/a.cpuprofile'], sizeBytes: 1 },
  ...{ way: 'inspector', passedOver: [], pauseMs: 1, durationMs: 2 },
}

function scene() {
  const emitter = new EventEmitter<MonitorEvents>()
  const lines: string[] = []
  const log = (level: string) => (text: string) => void lines.push(`${level} ${text}`)
  const voice = new Voice(emitter, { info: log('info'), warn: log('warn'), error: log('error') })
  const failures: Failure[] = []
  emitter.on('failure', (failure) => failures.push(failure))
  return { emitter, lines, voice, failures }
}

/** Types forbid listeners that return promises; plain JavaScript does not. */
function asListener(listener: () => unknown): () => void {
  return listener
}

test('a start that is held back is logged with the first event, and never without one', () => {
  const lines: string[] = []
  const log = (level: string) => (text: string) => void lines.push(`${level} ${text}`)
  const logger = { info: log('info'), warn: log('warn'), error: log('error') }
  const voice = new Voice(new EventEmitter<MonitorEvents>(), logger, true)
  voice.info('watching')
  voice.notice('a warning')
  voice.skip({ kind: 'cpu', rule: 'threshold', reason: 'stopped', numbers: {} })
  assert.equal(lines.length, 0)
  voice.dump(dump)
  assert.deepEqual(
    lines.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['info watching', 'warn a', 'info threshold', 'warn threshold'],
  )
})

test('readings are wanted while they have a listener or a subscriber', () => {
  const { emitter, voice } = scene()
  assert.equal(voice.wantsReadings(), false)
  const listener = () => undefined
  emitter.on('reading', listener)
  assert.equal(voice.wantsReadings(), true)
  emitter.removeListener('reading', listener)
  assert.equal(voice.wantsReadings(), false)
  subscribe('cpu-memory-monitor:reading', listener)
  assert.equal(voice.wantsReadings(), true)
  unsubscribe('cpu-memory-monitor:reading', listener)
  assert.equal(voice.wantsReadings(), false)
})

test('each event is published on its channel', () => {
  const { voice } = scene()
  const heard: unknown[] = []
  const hear = (message: unknown, name: string | symbol) => void heard.push([name, message])
  const reading = { rule: 'cpu', value: 1, threshold: 2, atEpochMs: 3 }
  const failure = { stage: 'capture', message: 'x' }
  for (const name of ['dump', 'reading', 'failure']) subscribe(`cpu-memory-monitor:${name}`, hear)
  voice.dump(dump)
  voice.reading(reading)
  voice.failure(failure)
  for (const name of ['dump', 'reading', 'failure']) unsubscribe(`cpu-memory-monitor:${name}`, hear)
  voice.dump(dump)
  assert.deepEqual(heard, [
    ['cpu-memory-monitor:dump', dump],
    ['cpu-memory-monitor:reading', reading],
    ['cpu-memory-monitor:failure', failure],
  ])
  assert.deepEqual(voice.tally.counts(), {
    dumps: { cpu: 2, memory: 0 },
    dumpsByRule: { cpu: { threshold: 2 }, memory: {} },
    skips: {},
    leaks: 0,
    failures: 1,
  })
})

test('every event is one line and one emit with its payload', () => {
  const { emitter, lines, voice, failures } = scene()
  const heard: unknown[] = []
  const hear = (payload: unknown) => void heard.push(payload)
  emitter.on('dump', hear).on('skip', hear).on('leak', hear)
  const skip = { kind: 'memory', rule: 'threshold', reason: 'busy', numbers: {} } as const
  const leak = { start: new Date(0), end: new Date(1), growth: 5, reason: 'grows', sites: [] }
  const failure = { stage: 'capture', message: 'x' }
  voice.dump(dump)
  voice.skip(skip)
  voice.leak(leak)
  voice.failure(failure)
  voice.notice('to be read once')
  voice.info('started')
  assert.deepEqual(heard, [dump, skip, leak])
  assert.deepEqual(failures, [failure])
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    ['warn', 'warn', 'warn', 'error', 'warn', 'info'],
  )
})

test('a listener that throws becomes a failure and does not silence those behind it', () => {
  const { emitter, voice, failures } = scene()
  const error = new Error('mine')
  let heard = 0
  emitter.on('dump', () => {
    throw error
  })
  emitter.on('dump', () => heard++)
  voice.dump(dump)
  assert.equal(heard, 1)
  assert.deepEqual(failures, [{ stage: 'listener', message: "a listener of 'dump': mine", error }])
})

test('a listener that rejects becomes a failure, by whatever kind of promise', async () => {
  const { emitter, voice, failures } = scene()
  emitter.on(
    'dump',
    asListener(() => Promise.reject(new Error('mine'))),
  )
  const thenable = { then: (_: unknown, reject: (error: Error) => void) => reject(new Error('theirs')) }
  emitter.on('dump', () => thenable)
  voice.dump(dump)
  await turn()
  assert.deepEqual(failures.map(({ message }) => message).sort(), [
    "a listener of 'dump': mine",
    "a listener of 'dump': theirs",
  ])
})

test('a failure listener that fails is a line only, and does not come round', async () => {
  const { emitter, lines, voice, failures } = scene()
  emitter.on('failure', () => {
    throw new Error('again')
  })
  emitter.on(
    'failure',
    asListener(() => Promise.reject(new Error('and again'))),
  )
  voice.failure({ stage: 'capture', message: 'x' })
  await turn()
  assert.equal(failures.length, 1)
  assert.deepEqual(lines.slice(1).sort(), [
    "error listener failed: a listener of 'failure': again",
    "error listener failed: a listener of 'failure': and again",
  ])
})

test('whatever is thrown can be told', () => {
  const { emitter, voice, failures } = scene()
  const unspeakable = [
    Object.create(null),
    Symbol('s'),
    undefined,
    Object.assign(new Error(), { message: Symbol('m') }),
  ]
  emitter.on('dump', () => {
    throw unspeakable.shift()
  })
  for (let times = 0; times < 4; times++) voice.dump(dump)
  assert.deepEqual(
    failures.map(({ message }) => message),
    [
      "a listener of 'dump': an object was thrown whose text cannot be read",
      "a listener of 'dump': Symbol(s) was thrown",
      "a listener of 'dump': undefined was thrown",
      "a listener of 'dump': an object was thrown whose text cannot be read",
    ],
  )
})

test('a once listener hears once, and one that is added or removed meanwhile does no harm', () => {
  const { emitter, voice, failures } = scene()
  let [once, late] = [0, 0]
  emitter.once('dump', () => once++)
  emitter.once('dump', () => emitter.on('dump', () => late++))
  voice.dump(dump)
  voice.dump(dump)
  assert.deepEqual([once, late, failures.length], [1, 1, 0])
})

test('a logger that throws or rejects keeps no event back', async () => {
  const emitter = new EventEmitter<MonitorEvents>()
  let heard = 0
  emitter.on('dump', () => heard++)
  const fault = () => {
    throw new Error('disk full')
  }
  const later = asListener(() => Promise.reject(new Error('disk full')))
  for (const line of [fault, later]) new Voice(emitter, { info: line, warn: line, error: line }).dump(dump)
  await turn()
  assert.equal(heard, 2)
})

test('logger false says nothing and events come all the same', () => {
  const emitter = new EventEmitter<MonitorEvents>()
  let heard = 0
  emitter.on('dump', () => heard++)
  const voice = new Voice(emitter, false)
  voice.dump(dump)
  voice.info('x')
  assert.equal(heard, 1)
})

test('an event is one line, whatever stands in messages and paths', () => {
  const { lines, voice } = scene()
  voice.failure({ stage: 'capture', message: 'first\n  second\r\nthird' })
  voice.notice('/a\nb cannot be written')
  assert.deepEqual(lines, ['error capture failed: first second third', 'warn /a b cannot be written'])
})
