import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { watchSignal } from '../dist/signal.js'

/**
 * One that the test runner does not use; that of Node 26 hears SIGUSR2 for reports. Emitting it by hand calls the listeners as
 * a real one does.
 */
const SIGNAL = 'SIGALRM'
const send = () => void process.emit(SIGNAL, SIGNAL)

function watch(t: TestContext, signal: NodeJS.Signals = SIGNAL) {
  const heard = { signals: 0, notices: [] as string[] }
  const unwatch = watchSignal({
    signal,
    onSignal: () => heard.signals++,
    notice: (line) => heard.notices.push(line),
  })
  t.after(unwatch)
  return { heard, unwatch }
}

test('the signal is ours when nobody else listens', (t) => {
  const { heard } = watch(t)
  send()
  send()
  assert.deepEqual(heard, { signals: 2, notices: [] })
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
  assert.deepEqual(heard.notices, [`${SIGNAL} has another listener in this process; it is left to that one`])
})

test('of several monitors the oldest takes it, and the next when that one has stopped', (t) => {
  const [oldest, next] = [watch(t), watch(t)]
  send()
  assert.deepEqual([oldest.heard.signals, next.heard.signals], [1, 0])
  oldest.unwatch()
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

test('the undoing leaves no listener and is idempotent', (t) => {
  const before = process.listenerCount(SIGNAL)
  const { heard, unwatch } = watch(t)
  assert.equal(process.listenerCount(SIGNAL), before + 1)
  unwatch()
  unwatch()
  assert.equal(process.listenerCount(SIGNAL), before)
  send()
  assert.equal(heard.signals, 0)
})

test('a signal that the platform does not have, or does not give away, is said once and changes nothing', (t) => {
  // Node refuses a listener for this one as it does for one that is unknown.
  const { heard, unwatch } = watch(t, 'SIGKILL')
  unwatch()
  assert.deepEqual(heard, {
    signals: 0,
    notices: ['this platform has no SIGKILL; heap snapshots by hand: dumpMemory()'],
  })
})
