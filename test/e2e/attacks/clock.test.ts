// A wall clock that is wrong, and one that is put right. The clock of the process alone is moved, by a library that is preloaded.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, utimesSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { noCompiler } from '../../harness/compiler'
import { compile, isLong, roundsOr, SIDE_BY_SIDE } from './attacker'
import { scratch } from './second-user'
import { filesIn, startVictim } from './victim'

/** 20 rounds of 200: the processes of a round start one after the other, on processors that are busy. */
const F14_SHARE = 0.1
const DAY_S = 24 * 60 * 60
const ONE_DUMP = { threshold: 0, interval: 100, limiter: [1, 'day'], sampling: false }
const noPreload = process.platform === 'linux' ? noCompiler : 'preloading is for Linux'

describe('the clock', { skip: noPreload, concurrency: SIDE_BY_SIDE }, () => {
  for (let round = 1; round <= roundsOr(1, F14_SHARE); round++) {
    test(`F14 dumps of a clock that was ahead make way for those made since it is right, round ${round}`, async (t) => {
      if (isLong) keepBusy(t)
      const directory = scratch(t)
      const ahead = [await dumpAt(t, directory, 30 * DAY_S), await dumpAt(t, directory, 30 * DAY_S)]
      // The kernel's clock cannot be moved here: it would have stamped the files so.
      const future = Date.now() / 1000 + 30 * DAY_S
      for (const file of filesIn(directory)) utimesSync(join(directory, file), future, future)
      assert.ok(ahead.every((file) => existsSync(file)))
      const right: string[] = []
      for (let dump = 0; dump < ahead.length; dump++) {
        const file = await dumpAt(t, directory, 0)
        assert.ok(existsSync(file), `${file} was reported, and is gone`)
        right.push(file)
      }
      assert.deepEqual(
        filesIn(directory).filter((name) => name.endsWith('.heapsnapshot')),
        right.map((file) => basename(file)),
      )
    })
  }

  for (const [what, shiftS] of [
    ['ten years behind', -10 * 365 * DAY_S],
    ['in 1969', -Math.ceil(Date.now() / 1000) - DAY_S],
    ['in 2200', (2200 - new Date().getFullYear()) * 365 * DAY_S],
  ] as const) {
    test(`H12 a clock ${what}: dumps are made`, async (t) => {
      assert.ok(existsSync(await dumpAt(t, scratch(t), shiftS)))
    })
  }
})

/** A process for each processor that does nothing but use it, until the test has ended. */
function keepBusy(t: TestContext): void {
  // As nice as the forked child, which would hardly get a processor otherwise.
  const endless = `require('node:os').setPriority(10); for (;;);`
  const busy = cpus().map(() => spawn(process.execPath, ['-e', endless], { stdio: 'ignore' }))
  t.after(() => busy.forEach((child) => child.kill('SIGKILL')))
}

/** A process with that clock, which makes one dump at a threshold and keeps two. */
async function dumpAt(t: TestContext, directory: string, shiftS: number): Promise<string> {
  const LD_PRELOAD = compile('shifted-clock.c', 'shifted-clock.so', '-shared', '-fPIC')
  const env = { LD_PRELOAD, CLOCK_SHIFT: String(shiftS) }
  const options = { profileDir: directory, memory: ONE_DUMP, keep: 2 }
  const victim = await startVictim(t, options, { env })
  await victim.until('a dump', () => victim.dumps().length + victim.failures().length > 0)
  assert.deepEqual(victim.failures(), [])
  // Expired dumps are deleted before it answers.
  await victim.order('stop')
  const shownMs = Number(/-(\d+)\./.exec(victim.dumps()[0]?.file ?? '')?.[1])
  assert.ok(
    Math.abs(shownMs - Math.max(1, Date.now() + shiftS * 1000)) < 3_600_000,
    `the clock shows ${shownMs}`,
  )
  victim.child.kill('SIGKILL')
  await victim.ended
  return victim.dumps()[0]?.file ?? ''
}
