import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type App, artefacts, files, places, startApp } from './app'
import { selfShare } from './profiles'

const ways = [
  ['empty loop', { code: 0, signal: null }],
  ['exitCode', { code: 3, signal: null }],
  ['exit', { code: 4, signal: null }],
  ['uncaught exception', { code: 1, signal: null }],
  ['SIGTERM', { code: null, signal: 'SIGTERM' }],
] as const

/** Both keys are on; everything but `dumping` lies far above what the program uses. */
const calm = { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' } }
/** A profile of the application's first second that would take an hour. */
const dumping = { cpu: { interval: 50, threshold: 0, duration: 3_600_000 }, memory: { threshold: '1000gb' } }

describe('the process ends as it would without a monitor', { concurrency: 4 }, () => {
  for (const { watchdog, place } of places) {
    for (const [way, expected] of ways) {
      for (const [when, options] of [
        ['at once', calm],
        ['watching', calm],
        ['dumping', dumping],
      ] as const) {
        test(`by ${way} ${when}, watched ${place}`, async (t) => {
          const settings = { takesOrders: false, lifetimeMs: 60_000 }
          const app = startApp(t, 'ends.js', { ...options, watchdog }, { ...settings, args: [way, when] })
          if (way === 'SIGTERM') {
            await app.until('ending')
            app.kill('SIGTERM')
          }
          assert.deepEqual(await app.ended, expected)
          assert.match(app.stderr(), way === 'uncaught exception' ? /of the application/ : /^$/)
          if (when !== 'dumping') assert.deepEqual(files(app), [])
          else if (!watchdog || way === 'SIGTERM') leavesItsProfile(app, way)
        })
      }
    }
  }
})

/**
 * A killed process has no time to end its profile; every other way of ending leaves it whole. The thread has to be given CPU
 * for that, within half a second, which so many programs at once do not leave it: `watchdog-exit` has that promise.
 */
function leavesItsProfile(app: App, way: string): void {
  if (way === 'SIGTERM') {
    assert.deepEqual(artefacts(app), [])
    assert.equal(files(app, '.partial').length, 1)
    return
  }
  const [file, ...more] = artefacts(app)
  assert.ok(file, `no profile: ${files(app).join(', ')}\n${app.stdout()}`)
  assert.deepEqual(more, [])
  assert.ok(selfShare(`${app.directory}/${file}`, '(program)') >= 0)
  assert.deepEqual(files(app, '.partial'), [])
  assert.deepEqual(
    app.said('dump').map(({ rule }) => rule),
    ['threshold'],
  )
}
