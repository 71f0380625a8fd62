import assert from 'node:assert/strict'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { Dump } from '../../../dist/dispatch/events.js'
import { artefacts, places, scratch, sidecarOf, startApp } from './app'

const cpu = { threshold: 100_000 }
const memory = { threshold: '1000gb' }
const root = join(__dirname, '../../..')

describe('two calls in one process', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    for (const copies of ['one copy', 'two copies'] as const) {
      const args = (t: TestContext) => (copies === 'two copies' ? [copyOfThePackage(t)] : [])
      const what = `of ${copies} of the package, ${place}`

      test(`that watch the same key: the second throws by name and starts nothing, ${what}`, async (t) => {
        const options = [
          { cpu, memory, watchdog },
          { cpu, watchdog },
        ]
        const app = startApp(t, 'two-calls.js', options, { args: args(t) })
        await app.until('called', undefined, 2)
        assert.deepEqual(app.said('called'), [
          { outcome: 'started' },
          {
            outcome:
              'Error: cpu-memory-monitor already watches cpu in this process; stop() that monitor first',
          },
        ])
        assert.match(await app.order('again', [1, { cpu, memory }]), /already watches cpu and memory/)
        await app.order('stop', 0)
        assert.equal(await app.order('again', [1, { cpu, memory, watchdog }]), 'started')
      })

      test(`that watch one key each share the gate, ${what}`, async (t) => {
        const options = [
          { cpu, watchdog },
          { memory, watchdog },
        ]
        const app = startApp(t, 'two-calls.js', options, { args: args(t) })
        await app.until('called', (saying) => (saying as { outcome: string }).outcome === 'started', 2)
        const [profile, snapshot] = await app.order<Dump[]>('cpuAndMemory')
        assert.ok(profile && snapshot)
        const [first, second] = [profile, snapshot]
          .map(({ file, durationMs }) => ({ ms: Date.parse(sidecarOf(file).where.startedAt), durationMs }))
          .sort((one, other) => one.ms - other.ms)
        assert.ok(first && second && first.ms + first.durationMs <= second.ms + 1, 'the dumps overlap')
      })

      test(`that watch one key each: the signal makes one file, ${what}`, async (t) => {
        const options = [
          { cpu, watchdog },
          { memory, watchdog },
        ]
        const app = startApp(t, 'two-calls.js', options, { args: args(t) })
        await app.until('line', ({ text }) => text.startsWith('watching'), 2)
        app.kill('SIGUSR2')
        await app.until('dump')
        // Whoever would have made a second has answered this by then.
        await app.order('cpuAndMemory')
        const snapshots = artefacts(app).filter((name) => name.endsWith('.heapsnapshot'))
        const askedBy = snapshots.map((name) => sidecarOf(join(app.directory, name)).why.details['askedBy'])
        assert.deepEqual(askedBy.sort(), ['SIGUSR2', 'api'])

        // The first monitor took it. When that one has stopped, the signal must not end the process.
        await app.order('stop', 0)
        app.kill('SIGUSR2')
        await app.until('dump', ({ rule }) => rule === 'manual', 4)
      })
    }
  }
})

/** A second installation of the package, as when two dependencies bring one each. */
function copyOfThePackage(t: TestContext): string {
  const copy = join(scratch(t), 'node_modules', 'cpu-memory-monitor')
  mkdirSync(copy, { recursive: true })
  for (const part of ['package.json', 'dist']) cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}
