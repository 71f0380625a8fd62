import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, artefacts, places, sidecarOf, startApp } from './app'
import { instances } from './profiles'

const SECRET = 'pin of customer'
const PROGRAM = 'keeps-secrets.js'
/** Enough for a snapshot that takes a while. */
const MANY = '60000'

describe('memory.redact', { concurrency: true }, () => {
  for (const { watchdog, place } of places) {
    for (const { way, execArgv } of [
      { way: 'fork', execArgv: [] },
      { way: 'v8', execArgv: ['--no-addons'] },
    ]) {
      test(`writes a snapshot without the texts, by ${way}, ${place}`, async (t) => {
        const options = { memory: { redact: true }, watchdog, engine: 'builtin' }
        const app = startApp(t, PROGRAM, options, { execArgv })
        const { file } = await app.order<{ file: string }>('dumpMemory')
        assert.equal(instances(file, 'Customer'), 2000)
        assert.deepEqual(holdingSecrets(app), [])
        const { how } = sidecarOf(file)
        assert.deepEqual([how.way, how.notes?.['redacted']], [way, true])
        assert.deepEqual(app.said('failure'), [])
      })
    }
  }

  test('is off by default', async (t) => {
    const app = startApp(t, PROGRAM, { memory: {} })
    const { file } = await app.order<{ file: string }>('dumpMemory')
    assert.ok(readFileSync(file).includes(SECRET))
    assert.equal(sidecarOf(file).how.notes?.['redacted'], undefined)
  })

  test('leaves no texts on the disk when child and process are killed over the snapshot', async (t) => {
    const options = { memory: { redact: true } }
    const app = startApp(t, PROGRAM, options, { args: [MANY] })
    const dump = app.order('dumpMemory')
    dump.catch(() => undefined)
    const child = await childAtWork(app)
    assert.deepEqual(holdingSecrets(app), [])
    process.kill(child, 'SIGKILL')
    app.kill('SIGKILL')
    await app.ended
    assert.deepEqual(holdingSecrets(app), [])
    const next = startApp(t, PROGRAM, options, { directory: app.directory })
    await next.until('line', ({ text }) => text.startsWith('watching'))
    assert.deepEqual(holdingSecrets(app), [])
    assert.deepEqual(
      artefacts(app, 'manual-memory').filter((name) => name.endsWith('.heapsnapshot')),
      [],
    )
  })
})

/** The child that has written a part of the whole snapshot into a file without a name. */
async function childAtWork({ pid, directory }: App): Promise<number> {
  for (;;) {
    for (const child of childrenOf(pid)) {
      const links = readQuietly(() => readdirSync(`/proc/${child}/fd`)) ?? []
      for (const link of links) {
        const path = `/proc/${child}/fd/${link}`
        const target = readQuietly(() => readlinkSync(path)) ?? ''
        const isScratch = target.startsWith(directory) && target.endsWith('.scratch (deleted)')
        if (isScratch && (readQuietly(() => statSync(path).size) ?? 0) > 1_000_000) {
          assert.ok(readFileSync(path).includes('{"snapshot"'))
          return child
        }
      }
    }
    await sleep(2)
  }
}

function childrenOf(pid: number): number[] {
  const tasks = readQuietly(() => readdirSync(`/proc/${pid}/task`)) ?? []
  return tasks.flatMap((task) => {
    const text = readQuietly(() => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')) ?? ''
    return text.split(' ').flatMap((child) => (child.trim() === '' ? [] : [Number(child)]))
  })
}

function readQuietly<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Names of the files, whole or not, in which the secret can be read. */
function holdingSecrets({ directory }: App): string[] {
  return readdirSync(directory).filter((name) => {
    const text = readQuietly(() => readFileSync(join(directory, name)))
    return text?.includes(SECRET) ?? false
  })
}
