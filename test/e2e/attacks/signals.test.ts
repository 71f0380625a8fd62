// Signals at moments, and to processes, for which nobody meant them.
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SIDE_BY_SIDE } from './attacker'
import { scratch } from './second-user'
import { childrenOf, filesIn, PROGRAMS, startVictim, until } from './victim'

describe(
  'signals',
  { skip: process.platform === 'linux' ? false : 'they are sent on Linux', concurrency: SIDE_BY_SIDE },
  () => {
    for (const watchdog of [true, false]) {
      const place = watchdog ? 'on its own thread' : 'on the main thread'

      test(`F8 SIGUSR2 while stop() waits for a dump ends nothing, watched ${place}`, async (t) => {
        const directory = scratch(t)
        const victim = await startVictim(t, { profileDir: directory, watchdog }, { args: ['10'] })
        const dump = victim.order('dumpMemory')
        await until('a child', () => childrenOf(victim.pid)[0])
        const stopped = victim.order('stop')
        // The order to stop has been taken when an order after it is answered.
        await victim.order('memory')
        for (let n = 0; n < 5; n++) process.kill(victim.pid, 'SIGUSR2')
        await stopped
        const result = await dump
        assert.ok('file' in result, JSON.stringify(result))
        assert.deepEqual(filesIn(directory, '.heapsnapshot').length, 2)
      })

      test(`F8 and after stop() it has its default effect, watched ${place}`, async (t) => {
        const victim = await startVictim(t, { profileDir: scratch(t), watchdog })
        await victim.order('stop')
        process.kill(victim.pid, 'SIGUSR2')
        assert.equal((await victim.ended).signal, 'SIGUSR2')
      })
    }

    for (const [signal, options] of [
      ['SIGUSR2', {}],
      ['SIGHUP', {}],
      ['SIGPWR', { signal: 'SIGPWR' }],
    ] as const) {
      test(`F15 ${signal} to the forked child does not lose the dump`, async (t) => {
        const directory = scratch(t)
        const victim = await startVictim(t, { ...options, profileDir: directory }, { args: ['10'] })
        const dump = victim.order('dumpMemory')
        process.kill(await childThatWrites(directory, victim.pid), signal)
        const result = await dump
        assert.ok('file' in result && result.way === 'fork', JSON.stringify(result))
      })
    }

    test('F15 but SIGTERM to the child ends it, which is a failure', async (t) => {
      const directory = scratch(t)
      const victim = await startVictim(t, { profileDir: directory }, { args: ['10'] })
      const dump = victim.order('dumpMemory')
      process.kill(await childThatWrites(directory, victim.pid), 'SIGTERM')
      assert.ok('skipped' in (await dump))
      assert.deepEqual(filesIn(directory), [])
    })

    test('F16 SIGUSR2 to the primary of a cluster, and to its workers, ends none of them and is logged', async (t) => {
      const victim = await startVictim(t, {}, { program: join(PROGRAMS, 'cluster.js') })
      const before = await victim.order<number[]>('pids')
      for (const pid of [victim.pid, ...before]) process.kill(pid, 'SIGUSR2')
      await Promise.race([victim.until('a line', () => isLogged(victim.lines())), victim.ended, sleep(5000)])
      assert.ok(isLogged(victim.lines()), victim.lines().join('\n'))
      assert.deepEqual(await victim.order('pids'), before)
      assert.deepEqual(await victim.order('events'), [])
    })
  },
)

const isLogged = (lines: readonly string[]): boolean => lines.some((line) => line.includes('SIGUSR2'))

function childThatWrites(directory: string, parent: number): Promise<number> {
  return until('a child that writes', () => {
    const [partial] = filesIn(directory, '.partial')
    if (partial === undefined) return undefined
    const isWriting = (statSync(join(directory, partial), { throwIfNoEntry: false })?.size ?? 0) > 0
    return isWriting ? childrenOf(parent)[0] : undefined
  })
}
