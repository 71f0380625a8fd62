import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { OWN_THREAD_NAME } from '../../../dist/base/thread-figures.js'
import { openLocalSession } from '../../../dist/capture/main-thread/local-session.js'
import { listWorkers } from '../../../dist/capture/threads/list-workers.js'
import { startOrphanWatchdog } from '../../../dist/cluster/orphan-watchdog.js'

// Neither the thread nor the session holds the process.
let keepAlive: NodeJS.Timeout
before(() => void (keepAlive = setInterval(() => undefined, 1000)))
after(() => clearInterval(keepAlive))

/** Workers without a name are those of the test's loader, and those that have just been started. */
async function namesOfWorkers(): Promise<string[]> {
  const { workers } = await listWorkers({ connect: openLocalSession }, new AbortController().signal)
  const names = workers.map(({ name }) => name).filter((name) => name !== '')
  return names.length > 0 ? names : namesOfWorkers()
}

test(
  'bears the name by which a monitor knows it from the workers of the application',
  { timeout: 20_000 },
  async () => {
    startOrphanWatchdog(1000, (error) => assert.fail(String(error)))
    assert.deepEqual(await namesOfWorkers(), [OWN_THREAD_NAME])
  },
)
