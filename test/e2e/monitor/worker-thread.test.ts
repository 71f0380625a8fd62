import assert from 'node:assert/strict'
import { test } from 'node:test'
import { files, places, startApp } from './app'

for (const { watchdog } of places) {
  test(`in a worker thread of the application nothing is watched, and that is said once, watchdog: ${watchdog}`, async (t) => {
    const options = { cpu: { interval: 10, threshold: 0 }, memory: { interval: 10, threshold: 0 }, watchdog }
    const app = startApp(t, 'in-a-worker.js', options, { takesOrders: false })
    assert.deepEqual(await app.ended, { code: 0, signal: null })
    assert.deepEqual(
      app.said('line').map(({ level, text }) => [level, text]),
      [
        [
          'warn',
          "nothing is watched: the monitor was called in a worker thread; call it on the process's main thread",
        ],
      ],
    )
    const [{ results }] = app.said('results') as [{ results: unknown[] }]
    assert.deepEqual(results.slice(0, 2), [{ skipped: 'stopped' }, { skipped: 'stopped' }])
    assert.deepEqual((results[2] as { skipped: string }).skipped, 'failed')
    assert.deepEqual(app.said('worker ended'), [{ code: 0 }])
    assert.deepEqual([files(app), app.said('dump'), app.said('skip'), app.stderr()], [[], [], [], ''])
  })
}
