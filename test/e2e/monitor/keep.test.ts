import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { type App, artefacts, files, places, scratch, sidecarOf, startApp } from './app'

const cpu = { interval: 200, duration: 100, threshold: 5, limiter: [1, 'hour'] }

describe('keep', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    test(`deletes the oldest dumps of the kind with their sidecars, and nothing else, ${place}`, async (t) => {
      const directory = realpathSync(scratch(t))
      const first = await oneDump(t, directory, { keep: 10, watchdog })
      const older = [3, 2, 1].map((age) => cloneOlder(directory, first, age))
      const strangers = [
        'cpu-1-1600000000000.cpuprofile',
        'cpu-notes.txt',
        'cpu-2-1600000000000.cpuprofile.json',
      ]
      for (const name of strangers) writeFileSync(join(directory, name), '{}')

      const app = start(t, directory, { keep: 3, watchdog })
      await app.order('dumpCpu', 10)
      const { file } = await app.until('dump', ({ rule }) => rule === 'threshold')
      await afterRetention(app)
      const kept = [older[2], first, file].map((path) => path?.slice(directory.length + 1) ?? '')
      const manual = artefacts({ directory }, 'manual-')
      assert.ok(manual.length >= 1)
      assert.deepEqual(
        files({ directory }).filter((name) => !name.startsWith('manual-')),
        [...kept, ...kept.map((name) => `${name}.json`), ...strangers].sort(),
      )
      assert.deepEqual(app.said('failure'), [])
    })

    test(`0 keeps none, ${place}`, async (t) => {
      const directory = realpathSync(scratch(t))
      const app = start(t, directory, { keep: 0, watchdog })
      await app.until('dump')
      await afterRetention(app)
      assert.deepEqual(artefacts({ directory }, 'cpu-'), [])
      assert.deepEqual(
        files({ directory }).filter((name) => !name.startsWith('manual-')),
        [],
      )
    })

    test(`false keeps all, ${place}`, async (t) => {
      const directory = realpathSync(scratch(t))
      const first = await oneDump(t, directory, { keep: false, watchdog })
      for (let age = 1; age <= 20; age++) cloneOlder(directory, first, age)
      await oneDump(t, directory, { keep: false, watchdog })
      assert.equal(artefacts({ directory }, 'cpu-').length, 22)
    })
  }
})

function start(t: TestContext, profileDir: string, options: object): App {
  return startApp(t, 'burn.js', { cpu: { ...cpu, profileDir }, ...options })
}

async function oneDump(t: TestContext, directory: string, options: object): Promise<string> {
  const app = start(t, directory, options)
  const { file } = await app.until('dump')
  await app.order('stop')
  return file
}

/** A dump by hand waits until the one before it has cleared up after itself. */
async function afterRetention(app: App): Promise<void> {
  await app.order('dumpCpu', 10)
}

/** A dump as an earlier process of this machine would have left it. */
function cloneOlder(directory: string, file: string, age: number): string {
  const older = file.replace(/(\d{13})\.cpuprofile$/, (_, ms) => `${Number(ms) - age * 60_000}.cpuprofile`)
  copyFileSync(file, older)
  const sidecar = { ...sidecarOf(file), artefact: older.slice(directory.length + 1) }
  writeFileSync(`${older}.json`, JSON.stringify(sidecar))
  assert.ok(readFileSync(older).length > 0)
  return older
}
