import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Captured, Capturer, Job, Plan, Refusal } from '../../../src/capture/capture.js'
import { DumpBudget } from '../../../src/dispatch/budget.js'
import * as dispatcherModule from '../../../src/dispatch/dispatcher.js'
import type { Dump, DumpKind, DumpResult, Failure, Picture, Skip } from '../../../src/dispatch/events.js'
import type { FleetBudget } from '../../../src/dispatch/fleet.js'
import * as gateModule from '../../../src/dispatch/gate.js'
import { ThresholdRule } from '../../../src/dispatch/threshold-rule.js'

const { Dispatcher, GATE_RETRY_MS } = dispatcherModule
const { Gate, GATE_BYTES, SETTLING_MS } = gateModule
const newGateMemory = () => new SharedArrayBuffer(GATE_BYTES)

/** A capturer whose captures end when the test says so. */
class ScriptedCapturer implements Capturer {
  readonly jobs: {
    job: Job
    early: AbortSignal
    captured: Captured
    finish: () => void
    refuse: (refusal: Refusal) => void
    fail: (error: Error) => void
  }[] = []
  answer: 'fits' | Refusal | Error = 'fits'
  lesser: Refusal | undefined
  plans = 0
  /** Whether a capture can be ended before its time without an event loop, and if so, how that turns out. */
  atExit: 'cannot' | 'whole' | Error = 'cannot'
  readonly #extension: string

  constructor(extension: string) {
    this.#extension = extension
  }

  plan(): Promise<Plan | Refusal> {
    this.plans++
    if (this.answer instanceof Error) return Promise.reject(this.answer)
    if (this.answer !== 'fits') return Promise.resolve(this.answer)
    const take = (job: Job, early: AbortSignal) =>
      new Promise<Captured | Refusal>((resolve, reject) => {
        const file = `${job.directory}/${job.baseName}${this.#extension}`
        const captured: Captured = {
          artefacts: [{ file, sizeBytes: 1 }],
          way: 'scripted',
          passedOver: [],
          pauseMs: 0,
          durationMs: 0,
        }
        this.jobs.push({
          job,
          early,
          captured,
          finish: () => resolve(captured),
          refuse: resolve,
          fail: reject,
        })
      })
    return Promise.resolve({ ...(this.lesser && { refusal: this.lesser }), take })
  }

  ways() {
    return { available: ['scripted'], passedOver: [] }
  }

  /** What was being captured settles as well, as it does in a process that only says that it exits. */
  endNow(isTimeOver: () => boolean): Captured | undefined {
    const last = this.jobs.at(-1)
    if (!last || this.atExit === 'cannot' || isTimeOver()) return undefined
    if (this.atExit === 'whole') {
      last.finish()
      return last.captured
    }
    last.fail(this.atExit)
    throw this.atExit
  }

  get last() {
    const last = this.jobs.at(-1)
    assert.ok(last, 'no capture was begun')
    return last
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Given {
  readonly counter?: number
  readonly tokens?: number
  readonly isWatched?: boolean
  readonly gateMemory?: SharedArrayBuffer
  readonly onTold?: () => void
  /** Name of a further rule, for memory dumps above 5. */
  readonly named?: string
  readonly picture?: (sinceMs: number | undefined) => Promise<Picture>
  readonly fleet?: FleetBudget
}

function scene(given: Given = {}) {
  const { counter = 1, tokens = 3, isWatched = true, gateMemory = newGateMemory() } = given
  const { onTold = () => undefined, named, picture, fleet } = given
  const running: boolean[] = []
  const gate = new Gate(gateMemory)
  const cpu = new ScriptedCapturer('.cpuprofile')
  const memory = new ScriptedCapturer('.heapsnapshot')
  const events: { dumps: Dump[]; skips: Skip[]; failures: Failure[]; notices: string[] } = {
    dumps: [],
    skips: [],
    failures: [],
    notices: [],
  }
  let nowMs = 100_000
  const timers: { delayMs: number; callback: () => void }[] = []
  const kind = (capturer: Capturer) => ({ capturer, directory: '/evidence' })
  const watched = (name: string, kindOfDump: DumpKind, threshold: number) => ({
    name,
    kind: kindOfDump,
    rule: new ThresholdRule(threshold, counter),
    budget: new DumpBudget({ tokensPerInterval: tokens, intervalMs: 3_600_000 }),
  })
  const retained: string[] = []
  const dispatcher = new Dispatcher({
    cpu: kind(cpu),
    memory: kind(memory),
    rules: isWatched
      ? [
          watched('cpu', 'cpu', 60),
          watched('memory', 'memory', 1000),
          ...(named ? [{ ...watched(named, 'memory', 5), metric: 'heap' }] : []),
        ]
      : [],
    picture,
    gate,
    fleet,
    clock: {
      monotonicMs: () => nowMs,
      epochMs: () => 1_700_000_000_000 + nowMs,
      later: (delayMs, callback) => timers.push({ delayMs, callback }),
    },
    report: {
      dump: (dump) => {
        events.dumps.push(dump)
        onTold()
      },
      skip: (skip) => events.skips.push(skip),
      failure: (failure) => {
        events.failures.push(failure)
        onTold()
      },
      notice: (text) => events.notices.push(text),
    },
    profileDurationMs: 30_000,
    onRunning: (isRunning) => running.push(isRunning),
    where: { node: 'v20', v8: '11', pid: 42, host: 'here', limits: {} },
    retain: (directory, made) => {
      retained.push(`${directory} after ${made}`)
      return Promise.resolve()
    },
  })
  return {
    dispatcher,
    cpu,
    memory,
    gate,
    timers,
    retained,
    running,
    ...events,
    /** Moves the clock and takes readings of one kind, one second apart. */
    readings: async (kind: string, ...values: number[]) => {
      for (const value of values) {
        nowMs += 1000
        dispatcher.observe(kind, value, kind === 'cpu' ? nowMs - 1000 : nowMs)
        await turn()
      }
    },
    pass: (ms: number) => {
      nowMs += ms
    },
    /** Ends the capture that is running, and lets the settling time pass. */
    finishAndSettle: async (capturer: ScriptedCapturer) => {
      capturer.last.finish()
      await turn()
      nowMs += SETTLING_MS + 1000
    },
  }
}

const skipsOf = (skips: Skip[]) => skips.map(({ kind, rule, reason }) => `${kind} ${rule} ${reason}`)

describe('the constants of the contract', () => {
  test('settling time', () => assert.equal(SETTLING_MS, 5000))
})

describe('threshold', () => {
  test('dumps at the counter-th breach in a row', async () => {
    const { readings, cpu, dumps } = scene({ counter: 3 })
    await readings('cpu', 70, 70, 70)
    cpu.last.finish()
    await turn()
    assert.equal(dumps.length, 1)
    assert.equal(dumps[0]?.file, '/evidence/cpu-42-1700000103000.cpuprofile')
  })

  test('does not dump at counter - 1 breaches in a row', async () => {
    const { readings, cpu } = scene({ counter: 3 })
    await readings('cpu', 70, 70, 10, 70, 70, 10)
    assert.equal(cpu.plans, 0)
  })

  test('the sidecar tells rule, numbers and the readings before the trip', async () => {
    const { readings, cpu } = scene({ counter: 2 })
    await readings('cpu', 5, 70, 80)
    const { why, where } = cpu.last.job.sidecar
    assert.equal(why.rule, 'threshold')
    assert.deepEqual(why.details, { threshold: 60, counter: 2, reading: 80 })
    assert.deepEqual(
      why.readings.map(({ value }) => value),
      [5, 70, 80],
    )
    assert.equal(where.directory, '/evidence')
    assert.equal(where.startedAt, new Date(1_700_000_103_000).toISOString())
  })

  test('retention follows a good dump', async () => {
    const { readings, finishAndSettle, cpu, retained } = scene()
    await readings('cpu', 70)
    await finishAndSettle(cpu)
    assert.match(retained.join(), /^\/evidence after \/evidence\/cpu-.*\.cpuprofile$/)
  })

  test('retention does not follow a failed one', async () => {
    const { readings, cpu, retained } = scene()
    await readings('cpu', 70)
    cpu.last.fail(new Error('no space'))
    await turn()
    assert.deepEqual(retained, [])
  })
})

describe('a rule with a name of its own', () => {
  const named = 'heap-high'

  test('dumps under its name, in event, file and sidecar', async () => {
    const { readings, memory, dumps } = scene({ named })
    await readings(named, 6)
    assert.equal(memory.last.job.baseName, 'heap-high-memory-42-1700000101000')
    const { why } = memory.last.job.sidecar
    assert.deepEqual(why.details, { threshold: 5, counter: 1, reading: 6, metric: 'heap' })
    assert.deepEqual([why.rule, why.readings.length], [named, 1])
    memory.last.finish()
    await turn()
    assert.deepEqual(
      dumps.map(({ kind, rule }) => [kind, rule]),
      [['memory', named]],
    )
  })

  test('does not dump at its threshold, nor for a reading of another rule', async () => {
    const { readings, memory } = scene({ named })
    await readings(named, 5, 5)
    await readings('memory', 6)
    assert.equal(memory.plans, 0)
  })

  test('has a budget, an episode and skips of its own', async () => {
    const { readings, memory, finishAndSettle, skips } = scene({ named, tokens: 1 })
    await readings(named, 6)
    await finishAndSettle(memory)
    await readings(named, 6, 6, 6)
    assert.deepEqual(skipsOf(skips), [`memory ${named} limited`])
    await readings('memory', 2000)
    assert.equal(memory.jobs.length, 2)
  })

  test('a reading of a rule that is not there does nothing', async () => {
    const { readings, memory, skips } = scene({ named })
    await readings('another', 1e9)
    assert.deepEqual([memory.plans, skips.length], [0, 0])
  })
})

describe('the budget of the fleet', () => {
  const refused = { tokensPerInterval: 3, intervalMs: 3_600_000, renewsInMs: 1_200_000 }

  /** A budget of `tokens`, with each question and each token that came back. */
  class ScriptedFleet implements FleetBudget {
    readonly asked: DumpKind[] = []
    known: typeof refused | undefined
    givenBack = 0
    /** Answers the question that is open. */
    answer: (() => void) | undefined
    isSlow = false
    tokens: number

    constructor(tokens: number) {
      this.tokens = tokens
    }

    refusal() {
      return this.known
    }

    async take(kind: DumpKind) {
      this.asked.push(kind)
      if (this.isSlow) await new Promise<void>((resolve) => (this.answer = resolve))
      if (this.tokens === 0) return { refused }
      this.tokens--
      return { giveBack: () => void this.givenBack++ }
    }
  }

  test('allows a dump, of its kind, and keeps the token of a good one', async () => {
    const fleet = new ScriptedFleet(1)
    const { readings, finishAndSettle, memory, dumps } = scene({ fleet })
    await readings('memory', 2000)
    await finishAndSettle(memory)
    assert.deepEqual([fleet.asked, dumps.length, fleet.givenBack], [['memory'], 1, 0])
  })

  test('refuses a dump once per episode, with its figures, and no token of the own budget is spent', async () => {
    const fleet = new ScriptedFleet(0)
    const { readings, cpu, skips } = scene({ fleet, tokens: 1 })
    await readings('cpu', 70, 70)
    assert.deepEqual(
      skips.map(({ reason, numbers }) => ({ reason, numbers })),
      [{ reason: 'fleet', numbers: refused }],
    )
    assert.equal(cpu.jobs.length, 0)
    fleet.tokens = 1
    await readings('cpu', 70)
    assert.equal(cpu.jobs.length, 1)
  })

  test('a refusal that is known is not asked for again, and the gate stays open', async () => {
    const fleet = new ScriptedFleet(1)
    fleet.known = refused
    const { readings, cpu, skips, running } = scene({ fleet })
    await readings('cpu', 70, 70)
    assert.deepEqual([fleet.asked, cpu.plans, running], [[], 0, []])
    assert.deepEqual(skipsOf(skips), ['cpu threshold fleet'])
  })

  test('is asked after gate, room and the own budget, and not when one of them refuses', async () => {
    const fleet = new ScriptedFleet(9)
    const { readings, cpu, memory, skips, finishAndSettle } = scene({ fleet, tokens: 1 })
    memory.answer = { skip: 'disk', numbers: {} }
    await readings('memory', 2000)
    await readings('cpu', 70)
    await readings('memory', 10, 2000)
    assert.deepEqual(fleet.asked, ['cpu'])
    await finishAndSettle(cpu)
    await readings('cpu', 70)
    assert.deepEqual(fleet.asked, ['cpu'])
    assert.deepEqual(skipsOf(skips), ['memory threshold disk', 'cpu threshold limited'])
  })

  test('has the token back of a dump that fails, or turns out not to fit', async () => {
    const fleet = new ScriptedFleet(9)
    const { readings, cpu, memory, pass } = scene({ fleet })
    await readings('cpu', 70)
    cpu.last.fail(new Error('no space'))
    await turn()
    assert.equal(fleet.givenBack, 1)
    pass(SETTLING_MS)
    await readings('memory', 10, 2000)
    memory.last.refuse({ skip: 'memory', numbers: {} })
    await turn()
    assert.equal(fleet.givenBack, 2)
  })

  test('has no part in a dump by hand', async () => {
    const fleet = new ScriptedFleet(0)
    fleet.known = refused
    const { dispatcher, memory } = scene({ fleet })
    void dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    await turn()
    assert.deepEqual([memory.jobs.length, fleet.asked], [1, []])
  })

  test('a stop does not wait for the answer, which begins no dump when it comes; the token goes back', async () => {
    const fleet = new ScriptedFleet(9)
    fleet.isSlow = true
    const { readings, dispatcher, cpu, skips } = scene({ fleet })
    await readings('cpu', 70)
    await dispatcher.stop()
    assert.deepEqual(skipsOf(skips), ['cpu threshold stopped'])
    fleet.answer?.()
    await turn()
    assert.deepEqual([cpu.jobs.length, fleet.givenBack, skips.length], [0, 1, 1])
  })

  test('a process that exits meanwhile reports one skip', async () => {
    const fleet = new ScriptedFleet(9)
    fleet.isSlow = true
    const { readings, dispatcher, cpu, skips } = scene({ fleet })
    await readings('cpu', 70)
    dispatcher.endNow(() => false)
    fleet.answer?.()
    await turn()
    assert.deepEqual([cpu.jobs.length, fleet.givenBack], [0, 1])
    assert.deepEqual(skipsOf(skips), ['cpu threshold stopped'])
  })
})

describe('whose CPU and memory', () => {
  const makeup = {
    spanMs: 1000,
    cpuPercent: 98,
    threads: [{ name: 'main thread', kind: 'main', cpuPercent: 98 }],
    memory: { rss: 5, workers: [], rest: 5 },
  } as const

  test('is in the event and the sidecar, over the readings that breach', async () => {
    const spans: (number | undefined)[] = []
    const picture = (sinceMs: number | undefined) => {
      spans.push(sinceMs)
      return Promise.resolve({ makeup })
    }
    const { readings, cpu, dumps } = scene({ counter: 3, picture })
    await readings('cpu', 5, 70, 70, 70)
    cpu.last.finish()
    await turn()
    assert.deepEqual(spans, [101_000])
    assert.deepEqual(cpu.last.job.sidecar.makeup, makeup)
    assert.deepEqual(dumps[0]?.makeup, makeup)
  })

  test('begins anew after a reading that does not breach, and after a trip', async () => {
    const spans: (number | undefined)[] = []
    const picture = (sinceMs: number | undefined) => {
      spans.push(sinceMs)
      return Promise.resolve({ makeup })
    }
    const { readings, cpu, finishAndSettle } = scene({ counter: 2, picture })
    await readings('cpu', 70, 5, 70, 70)
    await finishAndSettle(cpu)
    await readings('cpu', 70, 70)
    assert.deepEqual(spans, [102_000, 110_000])
  })

  test('is in a skip for want of memory, and in no other', async () => {
    const picture = () => Promise.resolve({ makeup })
    const { readings, memory, skips, dispatcher } = scene({ picture })
    memory.answer = { skip: 'memory', numbers: {} }
    await readings('memory', 2000)
    await dispatcher.stop()
    await dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    assert.deepEqual(
      skips.map(({ reason, makeup: has }) => [reason, has !== undefined]),
      [
        ['memory', true],
        ['stopped', false],
      ],
    )
  })
})

describe('a worker whose heap holds most of the memory', () => {
  const workers = [{ id: 3, name: 'cache', heapUsed: 8, heapTotal: 9, external: 0, arrayBuffers: 0 }]
  const makeup = { spanMs: 1, cpuPercent: 1, threads: [], memory: { rss: 10, workers, rest: 1 } }
  const picture = () => Promise.resolve({ makeup })

  test('is part of a memory dump', async () => {
    const { readings, memory } = scene({ picture })
    await readings('memory', 2000)
    assert.deepEqual(memory.last.job.worker, { id: 3, name: 'cache' })
  })

  test('is no part of a CPU dump, nor of the dump of a leak, which is in the main thread', async () => {
    const { readings, cpu } = scene({ picture })
    await readings('cpu', 70)
    assert.equal(cpu.last.job.worker, undefined)
    const other = scene({ picture })
    void other.dispatcher.request({ kind: 'memory', rule: 'leak', details: {} })
    await turn()
    assert.equal(other.memory.last.job.worker, undefined)
  })

  test('is no part of a dump of a process whose memory is elsewhere', async () => {
    const elsewhere = { ...makeup, memory: { rss: 10, workers, rest: 100 } }
    const { readings, memory } = scene({ picture: () => Promise.resolve({ makeup: elsewhere }) })
    await readings('memory', 2000)
    assert.equal(memory.last.job.worker, undefined)
  })
})

describe('calm: during a dump and in the settling time nothing is a breach', () => {
  test('a reading during a dump does not trip the other kind', async () => {
    const { readings, memory, cpu, skips } = scene()
    await readings('cpu', 70)
    await readings('memory', 5000, 5000)
    assert.equal(cpu.jobs.length, 1)
    assert.equal(memory.plans, 0)
    assert.deepEqual(skips, [])
  })

  test('a reading in the settling time does not trip, one after it does', async () => {
    const { readings, memory, cpu, pass } = scene()
    await readings('cpu', 70)
    cpu.last.finish()
    await turn()
    pass(SETTLING_MS - 1500)
    await readings('memory', 5000)
    assert.equal(memory.plans, 0)
    await readings('memory', 5000)
    assert.equal(memory.plans, 1)
  })

  test('a CPU reading whose span reaches back into the settling time does not trip', async () => {
    const { dispatcher, readings, cpu, pass } = scene()
    await readings('cpu', 70)
    const endedMs = 101_000
    cpu.last.finish()
    await turn()
    pass(SETTLING_MS + 500)
    dispatcher.observe('cpu', 99, endedMs + SETTLING_MS - 1)
    await turn()
    assert.equal(cpu.plans, 1)
    dispatcher.observe('cpu', 99, endedMs + SETTLING_MS)
    await turn()
    assert.equal(cpu.plans, 2)
  })

  test('breaches before and after a dump do not make a row', async () => {
    const { readings, finishAndSettle, cpu, memory } = scene({ counter: 2 })
    await readings('memory', 5000)
    await readings('cpu', 70, 70)
    await readings('memory', 5000)
    await finishAndSettle(cpu)
    await readings('memory', 5000)
    assert.equal(memory.plans, 0)
    await readings('memory', 5000)
    assert.equal(memory.plans, 1)
  })

  test('both kinds overloaded for a minute: dumps never overlap', async () => {
    const { readings, cpu, memory } = scene({ tokens: 100 })
    let overlaps = 0
    let finished = 0
    for (let second = 0; second < 60; second++) {
      await readings('cpu', 99)
      await readings('memory', 5000)
      const running = [...cpu.jobs, ...memory.jobs].length - finished
      if (running > 1) overlaps++
      if (second % 7 === 6) {
        for (const job of [...cpu.jobs, ...memory.jobs]) job.finish()
        finished = cpu.jobs.length + memory.jobs.length
        await turn()
      }
    }
    assert.ok(cpu.jobs.length + memory.jobs.length > 2)
    assert.equal(overlaps, 0)
  })
})

describe('budget', () => {
  test('permanent overload with two tokens: two dumps, one skip `limited` in the episode', async () => {
    const { readings, finishAndSettle, cpu, dumps, skips } = scene({ tokens: 2 })
    for (let dump = 0; dump < 2; dump++) {
      await readings('cpu', 70)
      await finishAndSettle(cpu)
    }
    await readings('cpu', 70, 70, 70)
    assert.equal(dumps.length, 2)
    assert.deepEqual(skipsOf(skips), ['cpu threshold limited'])
  })

  test('once it is spent nothing begins: a plan would keep the readings of the other kind from counting', async () => {
    const { readings, finishAndSettle, memory, running } = scene({ tokens: 1 })
    await readings('memory', 5000)
    await finishAndSettle(memory)
    await readings('memory', 5000, 5000)
    assert.deepEqual(running, [true, false])
  })

  test('a new episode tells the reason again', async () => {
    const { readings, skips } = scene({ tokens: 0 })
    await readings('cpu', 70, 70, 10, 70, 70)
    assert.deepEqual(skipsOf(skips), ['cpu threshold limited', 'cpu threshold limited'])
  })

  test('CPU dumps do not spend the memory budget, nor the reverse', async () => {
    const { readings, finishAndSettle, cpu, memory, dumps, skips } = scene({ tokens: 1 })
    await readings('cpu', 70)
    await finishAndSettle(cpu)
    await readings('memory', 5000)
    await finishAndSettle(memory)
    assert.deepEqual(
      dumps.map(({ kind }) => kind),
      ['cpu', 'memory'],
    )
    assert.deepEqual(skips, [])
  })

  test('leak dumps spend the memory budget', async () => {
    const { dispatcher, readings, finishAndSettle, memory, skips } = scene({ tokens: 1 })
    void dispatcher.request({ kind: 'memory', rule: 'leak', details: {} })
    await turn()
    await finishAndSettle(memory)
    await readings('memory', 5000)
    assert.deepEqual(skipsOf(skips), ['memory threshold limited'])
  })

  test('a kind that is not watched has none: it is dumped by hand alone', async () => {
    const { dispatcher, readings, cpu, dumps, skips } = scene({ isWatched: false })
    await readings('cpu', 70)
    await dispatcher.request({ kind: 'cpu', rule: 'blocked', details: {} })
    assert.deepEqual([skipsOf(skips), cpu.jobs.length], [['cpu blocked limited'], 0])
    void dispatcher.request({ kind: 'cpu', rule: 'manual', details: {} })
    await turn()
    cpu.last.finish()
    await turn()
    assert.equal(dumps.length, 1)
  })

  test('a skip costs no token', async () => {
    const { readings, memory, dumps } = scene({ tokens: 1 })
    memory.answer = { skip: 'memory', numbers: { needBytes: 9, haveBytes: 1 } }
    await readings('memory', 5000, 5000)
    memory.answer = 'fits'
    await readings('memory', 5000)
    memory.last.finish()
    await turn()
    assert.equal(dumps.length, 1)
  })

  test('a failed capture costs one', async () => {
    const { readings, cpu, pass, failures, skips } = scene({ tokens: 1 })
    await readings('cpu', 70)
    cpu.last.fail(new Error('ENOSPC'))
    await turn()
    assert.deepEqual(
      failures.map(({ stage, kind, message }) => ({ stage, kind, message })),
      [{ stage: 'capture', kind: 'cpu', message: 'ENOSPC' }],
    )
    pass(SETTLING_MS + 1000)
    await readings('cpu', 70)
    assert.deepEqual(skipsOf(skips), ['cpu threshold limited'])
  })
})

describe('room', () => {
  test('what does not fit is skipped, with the numbers, and costs no token', async () => {
    const { readings, memory, skips } = scene({ tokens: 1 })
    memory.answer = { skip: 'disk', numbers: { needBytes: 9, freeBytes: 1 } }
    await readings('memory', 5000, 5000)
    assert.deepEqual(skips, [
      { kind: 'memory', rule: 'threshold', reason: 'disk', numbers: { needBytes: 9, freeBytes: 1 } },
    ])
  })

  test('a lesser artefact is dumped, and the skip says that there is no snapshot', async () => {
    const { readings, memory, dumps, skips } = scene()
    memory.lesser = { skip: 'memory', numbers: { needBytes: 9 } }
    await readings('memory', 5000)
    memory.last.finish()
    await turn()
    assert.equal(dumps.length, 1)
    assert.deepEqual(skipsOf(skips), ['memory threshold memory'])
  })

  test('what turns out on the way not to fit is skipped, with the numbers, and no dump', async () => {
    const { readings, memory, dumps, skips, failures } = scene()
    await readings('memory', 5000)
    memory.last.refuse({ skip: 'memory', numbers: { needBytes: 9 } })
    await turn()
    assert.deepEqual([dumps, failures], [[], []])
    assert.deepEqual(skips, [
      { kind: 'memory', rule: 'threshold', reason: 'memory', numbers: { needBytes: 9 } },
    ])
  })

  test('a skip leaves the gate open and starts no settling time', async () => {
    const { readings, memory, cpu } = scene()
    memory.answer = { skip: 'memory', numbers: {} }
    await readings('memory', 5000)
    await readings('cpu', 70)
    assert.equal(cpu.jobs.length, 1)
  })
})

describe('manual dumps', () => {
  test('are exempt from the limiter', async () => {
    const { dispatcher, memory } = scene({ tokens: 0 })
    const result = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    await turn()
    memory.last.finish()
    assert.match(((await result) as Dump).file, /\/manual-memory-42-\d+\.heapsnapshot$/)
  })

  test('wait for a running dump, and coalesce while one waits', async () => {
    const { dispatcher, readings, cpu, memory } = scene()
    await readings('cpu', 70)
    const first = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    const second = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    await turn()
    assert.equal(memory.jobs.length, 0)
    cpu.last.finish()
    await turn()
    assert.equal(memory.jobs.length, 1)
    memory.last.finish()
    assert.equal(await first, await second)
    await turn()
    assert.equal(memory.jobs.length, 1)
  })

  test('do not coalesce with one that is being made: it shows an earlier heap', async () => {
    const { dispatcher, memory } = scene()
    const first = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    await turn()
    const second = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    memory.last.finish()
    await first
    await turn()
    memory.last.finish()
    assert.notEqual(((await first) as Dump).file, ((await second) as Dump).file)
  })

  test('wait for another copy of the package that holds the gate', async () => {
    const gateMemory = newGateMemory()
    const gate = new Gate(gateMemory)
    const { dispatcher, memory, timers } = scene({ gateMemory })
    assert.equal(gate.enter('memory'), true)
    const result = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    await turn()
    assert.equal(memory.plans, 0)
    gate.leave()
    const [timer] = timers.splice(0)
    assert.equal(timer?.delayMs, GATE_RETRY_MS)
    timer?.callback()
    await turn()
    memory.last.finish()
    assert.ok('file' in (await result))
  })

  test('a failure is an answer, not a rejection', async () => {
    const { dispatcher, cpu } = scene()
    const result = dispatcher.request({ kind: 'cpu', rule: 'manual', details: {} })
    await turn()
    cpu.last.fail(new Error('inspector closed'))
    assert.deepEqual(await result, { skipped: 'failed', message: 'inspector closed' })
  })
})

describe('other requests', () => {
  test('a leak dump does not wait: skip `busy` while another runs', async () => {
    const { dispatcher, readings, skips } = scene()
    await readings('cpu', 70)
    const result = await dispatcher.request({ kind: 'memory', rule: 'leak', details: {} })
    assert.deepEqual(result, { skipped: 'busy' } satisfies DumpResult)
    assert.deepEqual(skipsOf(skips), ['memory leak busy'])
  })

  test('two dumps in one millisecond have two names', async () => {
    const { dispatcher, cpu } = scene()
    for (let dump = 0; dump < 2; dump++) {
      const result = dispatcher.request({ kind: 'cpu', rule: 'manual', details: {} })
      await turn()
      cpu.last.finish()
      await result
    }
    assert.notEqual(cpu.jobs[0]?.job.baseName, cpu.jobs[1]?.job.baseName)
  })

  test('the caller can end a profile early', async () => {
    const { dispatcher, cpu } = scene()
    const early = new AbortController()
    void dispatcher.request({ kind: 'cpu', rule: 'blocked', details: {}, early: early.signal })
    await turn()
    assert.equal(cpu.last.early.aborted, false)
    early.abort()
    assert.equal(cpu.last.early.aborted, true)
  })
})

describe('exit', () => {
  const never = () => false

  test('ends a capture within the call, and tells it once', async () => {
    const { dispatcher, readings, cpu, dumps } = scene()
    cpu.atExit = 'whole'
    await readings('cpu', 70)
    dispatcher.endNow(never)
    assert.equal(cpu.last.early.aborted, true)
    assert.deepEqual(
      dumps.map(({ kind, rule }) => ({ kind, rule })),
      [{ kind: 'cpu', rule: 'threshold' }],
    )
    await dispatcher.stop()
    assert.equal(dumps.length, 1)
  })

  test('of what cannot be ended the skip is told, once', async () => {
    const { dispatcher, readings, memory, dumps, failures, skips } = scene()
    await readings('memory', 5000)
    dispatcher.endNow(never)
    dispatcher.endNow(never)
    assert.equal(memory.jobs.length, 1)
    memory.last.finish()
    await dispatcher.stop()
    assert.deepEqual(skipsOf(skips), ['memory threshold stopped'])
    assert.deepEqual([dumps, failures], [[], []])
  })

  test('what goes on alone is neither ended nor told skipped', async () => {
    const { dispatcher, readings, memory, dumps, failures, skips } = scene()
    await readings('memory', 5000)
    dispatcher.endNow(never, true)
    memory.last.finish()
    await dispatcher.stop()
    assert.deepEqual([dumps, failures, skips], [[], [], []])
  })

  test('nothing is ended once the time is over, and the skip is told', async () => {
    const { dispatcher, readings, cpu, dumps, skips } = scene()
    cpu.atExit = 'whole'
    await readings('cpu', 70)
    dispatcher.endNow(() => true)
    assert.deepEqual(dumps, [])
    assert.deepEqual(skipsOf(skips), ['cpu threshold stopped'])
  })

  test('what is planned still is one skip, and is not begun', async () => {
    const { dispatcher, memory, skips } = scene()
    const result = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    dispatcher.endNow(never)
    assert.deepEqual(await result, { skipped: 'stopped' })
    assert.equal(memory.jobs.length, 0)
    assert.deepEqual(skipsOf(skips), ['memory manual stopped'])
  })

  test('refuses what waits', async () => {
    const { dispatcher, readings, cpu, memory, dumps, skips } = scene()
    cpu.atExit = 'whole'
    await readings('cpu', 70)
    const waiting = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    dispatcher.endNow(never)
    assert.deepEqual(await waiting, { skipped: 'stopped' })
    await dispatcher.stop()
    assert.equal(memory.plans, 0)
    assert.equal(dumps.length, 1)
    assert.deepEqual(skipsOf(skips), ['memory manual stopped'])
  })

  for (const [what, end] of [
    ['made', (capturer: ScriptedCapturer) => capturer.last.finish()],
    ['failed', (capturer: ScriptedCapturer) => capturer.last.fail(new Error('ENOSPC'))],
  ] as const) {
    test(`says nothing more of a dump that is told as ${what}`, async () => {
      const onTold = () => dispatcher.endNow(never)
      const { dispatcher, readings, memory, dumps, failures, skips } = scene({ onTold })
      await readings('memory', 5000)
      end(memory)
      await turn()
      assert.equal(dumps.length + failures.length, 1)
      assert.deepEqual(skips, [])
    })
  }

  test('nothing is told and nothing begins when nothing runs', async () => {
    const { dispatcher, readings, cpu, dumps, failures, skips } = scene()
    cpu.atExit = 'whole'
    dispatcher.endNow(never)
    await readings('cpu', 70)
    assert.equal(cpu.plans, 0)
    assert.deepEqual([dumps, failures, skips], [[], [], []])
  })

  test('a capture that fails at its end is one failure, and no throw', async () => {
    const { dispatcher, readings, cpu, dumps, failures } = scene()
    cpu.atExit = new Error('ENOSPC')
    await readings('cpu', 70)
    dispatcher.endNow(never)
    await dispatcher.stop()
    assert.deepEqual(
      failures.map(({ stage, message }) => ({ stage, message })),
      [{ stage: 'capture', message: 'ENOSPC' }],
    )
    assert.deepEqual(dumps, [])
  })
})

describe('a dump that fails before it begins', () => {
  test('is one failure in an episode, costs no token, and is told anew in the next', async () => {
    const { readings, memory, failures } = scene({ tokens: 1 })
    // The same but for the name of the file.
    for (const ms of [1001, 1002, 1003]) {
      memory.answer = new Error(`no such directory: memory-42-${ms}`)
      await readings('memory', 5000)
    }
    assert.deepEqual([memory.plans, failures.length], [3, 1])
    memory.answer = new Error('no permission')
    await readings('memory', 5000, 5000)
    assert.deepEqual(
      failures.map(({ message }) => message),
      ['no such directory: memory-42-1001', 'no permission'],
    )
    await readings('memory', 0, 5000)
    assert.equal(failures.length, 3)
    memory.answer = 'fits'
    await readings('memory', 5000)
    assert.equal(memory.jobs.length, 1)
  })

  test('is told each time to who asks by hand', async () => {
    const { dispatcher, memory, failures } = scene()
    memory.answer = new Error('no such directory')
    for (let time = 0; time < 2; time++) {
      const result = await dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
      assert.deepEqual(result, { skipped: 'failed', message: 'no such directory' })
    }
    assert.equal(failures.length, 2)
  })
})

describe('who waits for the end of a dump', () => {
  for (const [what, end] of [
    ['is made', (memory: ScriptedCapturer) => memory.last.finish()],
    ['fails', (memory: ScriptedCapturer) => memory.last.fail(new Error('ENOSPC'))],
    ['is refused', (memory: ScriptedCapturer) => memory.last.refuse({ skip: 'memory', numbers: {} })],
  ] as const) {
    test(`is told its begin and its end when it ${what}`, async () => {
      const { readings, memory, running } = scene()
      await readings('memory', 5000)
      assert.deepEqual(running, [true])
      end(memory)
      await turn()
      assert.deepEqual(running, [true, false])
    })
  }

  test('is told so as well of one that does not begin', async () => {
    const { readings, memory, running } = scene()
    memory.answer = { skip: 'disk', numbers: {} }
    await readings('memory', 5000)
    memory.answer = new Error('no such directory')
    await readings('memory', 0, 5000)
    assert.deepEqual(running, [true, false, true, false])
  })
})

describe('stop', () => {
  test('ends a running profile early, waits for its file, refuses what waits and what comes', async () => {
    const { dispatcher, readings, cpu, memory, dumps, skips } = scene()
    await readings('cpu', 70)
    const waiting = dispatcher.request({ kind: 'memory', rule: 'manual', details: {} })
    let isStopped = false
    const stopped = dispatcher.stop().then(() => (isStopped = true))
    await turn()
    assert.equal(cpu.last.early.aborted, true)
    assert.equal(isStopped, false)
    cpu.last.finish()
    await stopped
    assert.equal(dumps.length, 1)
    assert.deepEqual(await waiting, { skipped: 'stopped' })
    assert.deepEqual(await dispatcher.request({ kind: 'memory', rule: 'manual', details: {} }), {
      skipped: 'stopped',
    })
    await readings('memory', 5000)
    assert.equal(memory.plans, 0)
    assert.deepEqual(skipsOf(skips), ['memory manual stopped', 'memory manual stopped'])
  })

  test('is idempotent', async () => {
    const { dispatcher } = scene()
    await dispatcher.stop()
    await dispatcher.stop()
  })
})
