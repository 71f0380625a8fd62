import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { places, startApp } from './app'

const ways = ['throws', 'rejects', 'throws nothing sensible'] as const

describe('of the application that fails', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    for (const way of ways) {
      const message =
        way === 'throws nothing sensible' ? /^a listener of 'dump': / : /^a listener of 'dump': my own fault$/

      test(`a listener that ${way} becomes one failure, and the others hear all the same, ${place}`, async (t) => {
        const app = startApp(t, 'bad-listeners.js', { watchdog }, { args: [way, 'dump'] })
        await app.order('dumpCpu', 10)
        await app.order('dumpCpu', 10)
        const failures = app.said('failure')
        assert.deepEqual([failures.length, app.said('dump').length, app.said('once').length], [2, 2, 1])
        for (const failure of failures) {
          assert.equal(failure.stage, 'listener')
          assert.match(failure.message, message)
        }
        assert.equal(app.stderr(), '')
      })

      test(`a failure listener that ${way} becomes a line and nothing else, ${place}`, async (t) => {
        const app = startApp(t, 'bad-listeners.js', { watchdog }, { args: [way, 'failure'] })
        await app.order('dumpCpu', 10)
        await app.order('dumpCpu', 10)
        assert.equal(app.said('failure').length, 2)
        const lines = app.said('line').filter(({ text }) => text.includes("a listener of 'failure'"))
        assert.deepEqual([lines.length, lines[0]?.level], [2, 'error'])
        assert.equal(app.stderr(), '')
      })

      test(`a logger that ${way} changes nothing, ${place}`, async (t) => {
        const app = startApp(t, 'bad-listeners.js', { watchdog }, { args: [way, 'logger'] })
        await app.order('dumpCpu', 10)
        await app.order('stop')
        assert.deepEqual([app.said('dump').length, app.said('failure').length], [1, 0])
        assert.ok(app.said('line').length >= 2)
        assert.equal(app.stderr(), '')
      })
    }
  }
})
