import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { MAX_SIGNAL_DUMPS, watchSignal } from '../../../../src/monitor/start/signal.js'

/**
 * One that the test runner does not use; that of Node 26 hears SIGUSR2 for reports. Emitting it by hand calls the listeners as
 * a real one does.
 */
const SIGNAL = 'SIGALRM'
interface Given {
  readonly signal: NodeJS.Signals
  readonly onSignal: () => Promise<unknown>
}
const send = () => void process.emit(SIGNAL, SIGNAL)

function watch(t: TestContext, { signal = SIGNAL, onSignal = () => Promise.resolve() }: Partial<Given> = {}) {
  const heard = { signals: 0, notices: [] as string[] }
  const watching = watchSignal({ signal, notice: (line) => heard.notices.push(line) })
  watching.serve(
    () => {
      heard.signals++
      return onSignal()
    },
    () => false,
  )
  const [stop, ignore] = [() => watching.stop(), () => watching.ignore()]
  t.after(stop)
  return { heard, stop, ignore }
}

test('the signal is ours when nobody else listens', async (t) => {
  const { heard } = watch(t)
  for (let times = 1; times <= MAX_SIGNAL_DUMPS + 1; times++) {
    send()
    await setImmediate()
  }
  assert.deepEqual(heard, { signals: MAX_SIGNAL_DUMPS + 1, notices: [] })
})

function startsToWatch(t: TestContext) {
  const watching = watchSignal({ signal: SIGNAL, notice: () => assert.fail('nothing to report') })
  t.after(() => watching.stop())
  const heard = { signals: 0 }
  const serve = () =>
    watching.serve(
      () => Promise.resolve(heard.signals++),
      () => false,
    )
  return { heard, serve }
}

test('signals that come before the monitor serves them are answered then, by one dump', (t) => {
  const { heard, serve } = startsToWatch(t)
  assert.equal(process.listenerCount(SIGNAL), 1, 'the default effect would end the process')
  send()
  send()
  assert.equal(heard.signals, 0)
  serve()
  assert.equal(heard.signals, 1)
  send()
  assert.equal(heard.signals, 2)
})

test('a signal that another monitor has answered meanwhile is not answered again', (t) => {
  const { heard, serve } = startsToWatch(t)
  const next = watch(t)
  send()
  assert.equal(next.heard.signals, 1)
  serve()
  assert.equal(heard.signals, 0)
  send()
  assert.deepEqual([heard.signals, next.heard.signals], [1, 1])
})

test('one dump may run and one may wait; signals beyond them are dropped until one is done', async (t) => {
  const dumps: (() => void)[] = []
  const { heard } = watch(t, { onSignal: () => new Promise<void>((done) => dumps.push(done)) })
  for (let times = 0; times < 1000; times++) send()
  assert.equal(heard.signals, 2)
  dumps[0]?.()
  await setImmediate()
  send()
  send()
  assert.deepEqual(heard, { signals: 3, notices: [] })
})

test('while it is being stopped the signal has no effect, and the next monitor takes it', (t) => {
  const { heard, ignore } = watch(t)
  ignore()
  assert.equal(process.listenerCount(SIGNAL), 1, 'the default effect would end the process')
  send()
  assert.equal(heard.signals, 0)
  const next = watch(t)
  send()
  assert.deepEqual([heard.signals, next.heard.signals, next.heard.notices], [0, 1, []])
})

test('it is left to another listener, decided at each signal and said once', (t) => {
  const { heard } = watch(t)
  const other = () => undefined
  process.on(SIGNAL, other)
  send()
  send()
  process.removeListener(SIGNAL, other)
  assert.equal(heard.signals, 0)
  send()
  assert.equal(heard.signals, 1)
  assert.deepEqual(heard.notices, [
    `${SIGNAL} has another listener in this process, so the signal triggers no dump of this monitor`,
  ])
})

test('of several monitors the oldest takes it, and the next when that one has stopped', (t) => {
  const [oldest, next] = [watch(t), watch(t)]
  send()
  assert.deepEqual([oldest.heard.signals, next.heard.signals], [1, 0])
  oldest.stop()
  send()
  assert.deepEqual([oldest.heard.signals, next.heard.signals], [1, 1])
  assert.deepEqual([...oldest.heard.notices, ...next.heard.notices], [])
})

test('of several monitors one steps aside for a foreign listener, and says so', (t) => {
  const [oldest, next] = [watch(t), watch(t)]
  const other = () => undefined
  process.on(SIGNAL, other)
  t.after(() => process.removeListener(SIGNAL, other))
  send()
  assert.deepEqual([oldest.heard.signals, next.heard.signals], [0, 0])
  assert.deepEqual([oldest.heard.notices.length, next.heard.notices.length], [1, 0])
})

test('stopping leaves no listener and is idempotent', (t) => {
  const before = process.listenerCount(SIGNAL)
  const { heard, stop } = watch(t)
  assert.equal(process.listenerCount(SIGNAL), before + 1)
  stop()
  stop()
  assert.equal(process.listenerCount(SIGNAL), before)
  send()
  assert.equal(heard.signals, 0)
})

for (const [signal, why] of [
  // Linux does not have it; Node adds a listener for it all the same.
  ['SIGBREAK', 'this platform has no SIGBREAK'],
  ['SIGKILL', 'SIGKILL cannot be listened for: uv_signal_start EINVAL'],
] as const) {
  test(`${signal}, for which nobody can listen here, is said once and changes nothing`, (t) => {
    const { heard, stop } = watch(t, { signal })
    assert.equal(process.listenerCount(signal), 0)
    stop()
    assert.deepEqual(heard, { signals: 0, notices: [`${why}; use dumpMemory() to take a heap snapshot`] })
  })
}
