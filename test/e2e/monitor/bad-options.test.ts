import assert from 'node:assert/strict'
import { test } from 'node:test'
import { files, places, startApp } from './app'

const wrong = [
  ['TypeError', 'options', 'on'],
  ['TypeError', 'options.memroy', { memroy: {} }],
  ['TypeError', 'options.cpu', { cpu: true }],
  ['TypeError', 'options.cpu.treshold', { cpu: { treshold: 1 } }],
  ['RangeError', 'options.cpu.threshold', { cpu: { threshold: '0%' } }],
  ['RangeError', 'options.cpu.threshold', { cpu: { threshold: -1 } }],
  ['RangeError', 'options.cpu.threshold', { cpu: { threshold: 'NaN' } }],
  ['RangeError', 'options.cpu.interval', { cpu: { interval: 0 } }],
  ['RangeError', 'options.cpu.duration', { cpu: { duration: 0 } }],
  ['RangeError', 'options.cpu.blocked', { cpu: { blocked: 0 } }],
  ['RangeError', 'options.memory.threshold', { memory: { threshold: '1.2gbb' } }],
  ['RangeError', 'options.memory.threshold', { memory: { threshold: '1g' } }],
  ['RangeError', 'options.memory.counter', { memory: { counter: 0 } }],
  ['RangeError', 'options.memory.limiter', { memory: { limiter: ['x'] } }],
  ['TypeError', 'options.memory.sampling', { memory: { sampling: 1 } }],
  ['TypeError', 'options.profileDir', { profileDir: 5 }],
  ['RangeError', 'options.profileDir', { profileDir: '' }],
  ['RangeError', 'options.signal', { signal: 'SIGKILL' }],
  ['RangeError', 'options.signal', { signal: 'SIGUSR1' }],
  ['TypeError', 'options.watchdog', { watchdog: 'yes' }],
  ['RangeError', 'options.engine', { engine: 'native' }],
  ['RangeError', 'options.keep', { keep: -1 }],
  ['TypeError', 'options.logger', { logger: {} }],
  ['Error', "options.engine is 'packages'", { engine: 'packages', cpu: {}, memory: {} }],
] as const

for (const { watchdog, place } of places) {
  test(`wrong options throw by name at the call and start nothing, a good call afterwards works, ${place}`, async (t) => {
    const options = wrong.map(([, text, value]) => [text, value])
    const settings = { takesOrders: false, args: [String(watchdog)] }
    const app = startApp(t, 'bad-options.js', options, settings)
    assert.deepEqual(await app.ended, { code: 0, signal: null })
    assert.deepEqual([app.said('accepted'), app.said('failure'), app.stderr()], [[], [], ''])
    const refused = app.said('refused') as { error: string; message: string; started: boolean }[]
    assert.equal(refused.length, wrong.length)
    refused.forEach(({ error, message, started }, index) => {
      const [name, text] = wrong[index] ?? ['', '']
      assert.equal(error, name, message)
      assert.ok(message.startsWith(text), message)
      assert.equal(started, false, `${text} left something running`)
    })
    assert.equal(app.said('stopped').length, 1)
    assert.deepEqual(files(app), [])
  })
}
