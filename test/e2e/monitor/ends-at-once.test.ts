import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { places, startApp } from './app'

const both = { cpu: { threshold: 100_000 }, memory: { threshold: '1000gb' }, logger: false }

async function linesOf(t: TestContext, options: object | null, holdMs = 0): Promise<string[]> {
  const app = startApp(t, 'ends-at-once.js', options, { takesOrders: false, args: [String(holdMs)] })
  assert.deepEqual(await app.ended, { code: 0, signal: null })
  assert.equal(app.stderr(), '')
  return app.stdout().trimEnd().split('\n')
}

describe('a program that ends at once', { concurrency: 2 }, () => {
  test("runs none of its unref'd timers and immediates with a monitor on the main thread, as without one", async (t) => {
    const without = await linesOf(t, null)
    assert.deepEqual(without, ['beforeExit', 'exit 0'])
    assert.deepEqual(await linesOf(t, { ...both, watchdog: false }), without)
  })

  test('is not held by a monitor on its own thread', async (t) => {
    // For a thread that was started, even an unref'd one, Node turns the loop once: what is due by then runs.
    const isDue = (line: string) => line === 'immediate' || line === 'timer'
    const lines = await linesOf(t, { ...both, watchdog: true })
    assert.deepEqual(
      lines.filter((line) => !isDue(line)),
      ['beforeExit', 'exit 0'],
    )
  })

  for (const { watchdog, place } of places) {
    test(`runs them if it stays a moment, watched ${place}`, async (t) => {
      const lines = await linesOf(t, { ...both, watchdog }, 300)
      assert.deepEqual(lines.sort(), ['beforeExit', 'exit 0', 'immediate', 'timer'])
    })
  }
})
