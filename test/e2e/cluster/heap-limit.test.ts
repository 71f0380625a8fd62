import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { User } from './http-client'
import { RunningCluster } from './running-cluster'

const NODE_OPTIONS = '--max-old-space-size=40'
const limit = '2gb'
/** The line of the worker itself. */
const LINE = /^cpu-memory-monitor: the heap has reached V8's limit of \d+ MB: /m

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-heap-limit-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A request that fills the heap: its worker does not answer any more. */
async function fillHeap(t: TestContext, running: RunningCluster): Promise<void> {
  await running.allReady()
  await new User(t, running.port).get('/leak-objects?count=100000000').catch(() => undefined)
}

describe("a worker that reaches V8's heap limit", () => {
  test('leaves its evidence with `dump`, and the line of its loss names the reason and the files', async (t) => {
    const profileDir = folder(t)
    const options = { count: 2, dump: { profileDir } }
    const running = await RunningCluster.start(t, { limit, options }, { env: { NODE_OPTIONS } })
    await fillHeap(t, running)
    await running.until('a crash', () => running.events('crash').length > 0, 60_000)
    const pid = running.events('crash')[0]?.pid
    await running.says(
      new RegExp(`pid ${pid}\\) is lost: .*: its heap reached V8's limit, see .*heap-limit-memory-${pid}-`),
    )
    await running.says(LINE)
    await running.until(
      'a whole snapshot',
      () => readdirSync(profileDir).some((name) => /^heap-limit-memory-\d+-\d+\.heapsnapshot$/.test(name)),
      60_000,
    )
    assert.ok(readdirSync(profileDir).some((name) => name.startsWith(`heap-limit-memory-${pid}-`)))
  })

  test('leaves its evidence without a line with `logger: false`', async (t) => {
    const profileDir = folder(t)
    const options = { count: 2, dump: { profileDir }, logger: false }
    const running = await RunningCluster.start(t, { limit, options }, { env: { NODE_OPTIONS } })
    await fillHeap(t, running)
    await running.until('a crash', () => running.events('crash').length > 0, 60_000)
    await running.until(
      'a profile',
      () => readdirSync(profileDir).some((name) => /^heap-limit-memory-\d+-\d+\.heapprofile$/.test(name)),
      60_000,
    )
    // V8's own lines come after it.
    await running.says(/FATAL ERROR: /)
    assert.doesNotMatch(running.stderr, LINE)
    assert.doesNotMatch(running.stderr, /cpu-memory-monitor/)
  })

  test('leaves nothing without `dump`, and its line names no limit', async (t) => {
    const running = await RunningCluster.start(t, { limit, options: { count: 2 } }, { env: { NODE_OPTIONS } })
    await fillHeap(t, running)
    await running.until('a crash', () => running.events('crash').length > 0, 60_000)
    await running.says(/is lost: /)
    assert.doesNotMatch(running.stderr, /its heap reached V8's limit/)
  })

  test("a limit above V8's is reported at start with both numbers, one below is not", async (t) => {
    const options = { count: 2 }
    const above = await RunningCluster.start(t, { limit, options }, { env: { NODE_OPTIONS } })
    await above.says(
      /the workers' limit of 2GB is unlikely to be reached, .* about [\d.]+[MG]B, young generation included/,
    )
    const below = await RunningCluster.start(t, { limit: '100mb', options }, { env: { NODE_OPTIONS: '' } })
    await below.allReady()
    assert.doesNotMatch(below.stderr, /unlikely to be reached/)
  })
})
