import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dump, DumpResult } from '../../../dist/dispatch/events.js'
import { tmpfs } from '../../unit/files/scratch'
import { type App, artefacts, files, places, scratch, startApp } from './app'

/** More than the floor that is left free and the estimate of a profile: a dump begins. */
const JUST_ENOUGH_BYTES = 290 * 1024 * 1024

describe('files under faults', { concurrency: 2 }, () => {
  for (const { watchdog, place } of places) {
    test(`a disk that fills up while a profile is written: a failure, and no half file, ${place}`, async (t) => {
      const disk = tmpfs(t, JUST_ENOUGH_BYTES)
      if (!disk) return
      const app = start(t, disk.path, watchdog)
      const ballast = join(disk.path, 'ballast')
      await faulty(app, /ENOSPC/, () => {
        try {
          execFileSync('fallocate', ['-l', String(JUST_ENOUGH_BYTES), ballast], { stdio: 'pipe' })
        } catch {
          // It takes what there is, and one page at a time until there is nothing left.
          execFileSync('sh', ['-c', `cat /dev/zero >> ${ballast} || true`], { stdio: 'pipe' })
        }
      })
      assert.deepEqual(files({ directory: disk.path }), ['ballast'])
      rmSync(ballast)
      await repaired(app, disk.path)
    })

    test(`a disk that is too small for the dump: a skip with the numbers, ${place}`, async (t) => {
      const disk = tmpfs(t, 1024 * 1024)
      if (!disk) return
      const app = start(t, disk.path, watchdog)
      for (const order of ['dumpCpu', 'dumpMemory']) {
        assert.deepEqual(await app.order(order, 10), { skipped: 'disk' })
      }
      const [skip] = app.said('skip')
      assert.deepEqual([skip?.reason, skip?.numbers['floorBytes']], ['disk', 256 * 1024 * 1024])
      assert.deepEqual([app.said('failure'), files({ directory: disk.path })], [[], []])
    })

    test(`a directory that becomes read-only: a failure, and nothing touched, ${place}`, async (t) => {
      const disk = tmpfs(t, 2 * JUST_ENOUGH_BYTES)
      if (!disk) return
      const app = start(t, disk.path, watchdog)
      writeFileSync(join(disk.path, 'mine'), 'mine')
      await app.until('line', isWatching)
      const uncover = disk.coverReadOnly()
      for (const order of ['dumpCpu', 'dumpMemory']) {
        const result = await app.order<DumpResult>(order, 10)
        assert.match(messageOf(result), /EROFS|read-only/)
      }
      uncover()
      assert.deepEqual(files({ directory: disk.path }), ['mine'])
      await repaired(app, disk.path)
    })

    test(`a directory that is missing below a read-only mount: the failure is the mount's, ${place}`, async (t) => {
      const disk = tmpfs(t, 2 * JUST_ENOUGH_BYTES)
      if (!disk) return
      const app = start(t, join(disk.path, 'missing'), watchdog)
      await app.until('line', isWatching)
      rmSync(join(disk.path, 'missing'), { recursive: true, force: true })
      const uncover = disk.coverReadOnly()
      for (const order of ['dumpCpu', 'dumpMemory']) {
        assert.match(messageOf(await app.order<DumpResult>(order, 10)), /EROFS|read-only/)
      }
      uncover()
    })

    test(`a directory that vanishes amid a dump: a failure, and the next dump makes it again, ${place}`, async (t) => {
      const directory = join(scratch(t), 'dumps')
      const app = start(t, directory, watchdog)
      await app.until('line', isWatching)
      await faulty(app, /ENOENT/, () => renameSync(directory, `${directory} moved`))
      assert.deepEqual(artefacts({ directory: `${directory} moved` }), [])
      await repaired(app, directory)
      assert.equal(statSync(directory).mode & 0o777, 0o700)
    })

    for (const planted of ['a symlink', 'a file'] as const) {
      test(`${planted} planted under the final name: it stays as it is, and the dump gets another name, ${place}`, async (t) => {
        const directory = join(scratch(t), 'dumps')
        const app = start(t, directory, watchdog)
        const target = join(app.directory, 'mine')
        writeFileSync(target, 'mine')
        await app.until('line', isWatching)
        const dumping = app.order<Dump>('dumpCpu', 3000)
        let partial: string | undefined
        while ((partial = partialIn(directory)) === undefined) await sleep(20)
        const name = partial.replace('.partial', '')
        if (planted === 'a file') writeFileSync(join(directory, name), 'mine')
        else symlinkSync(target, join(directory, name))
        const { file } = await dumping
        const other = name.replace('.cpuprofile', '-2.cpuprofile')
        assert.equal(file, join(directory, other))
        assert.deepEqual(files({ directory }), [name, other, `${other}.json`].sort())
        assert.equal(readFileSync(join(directory, name), 'utf8'), 'mine')
        if (planted === 'a symlink') assert.equal(readlinkSync(join(directory, name)), target)
        assert.equal(readFileSync(target, 'utf8'), 'mine')
        assert.deepEqual(app.said('failure'), [])
      })
    }

    test(`a directory that cannot be made is said at the start, once, ${place}`, async (t) => {
      const parent = scratch(t)
      writeFileSync(join(parent, 'a file'), 'mine')
      const directory = join(parent, 'a file', 'dumps')
      const app = startApp(t, 'by-hand.js', { profileDir: directory, cpu: { threshold: 100_000 }, watchdog })
      await app.until('line', ({ level, text }) => level === 'warn' && text.includes('cannot be written'))
      assert.match(messageOf(await app.order<DumpResult>('dumpCpu', 10)), /ENOTDIR/)
      assert.equal(app.said('line').filter(({ text }) => text.includes('cannot be written')).length, 1)
      assert.equal(app.said('failure').length, 1)
      rmSync(join(parent, 'a file'))
      mkdirSync(directory, { recursive: true })
      await repaired(app, directory)
    })
  }
})

function start(t: TestContext, profileDir: string, watchdog: boolean): App {
  return startApp(t, 'by-hand.js', { profileDir, cpu: { threshold: 100_000 }, watchdog })
}

/** Does the damage while a profile is being recorded, and sees that it becomes one failure. */
async function faulty(app: App, message: RegExp, damage: (partial: string) => void): Promise<void> {
  await app.until('line', isWatching)
  const directory = /snapshot to (.*)\); on/.exec(app.said('line').find(isWatching)?.text ?? '')?.[1]
  assert.ok(directory !== undefined, 'the start line names the directory')
  const before = app.said('failure').length
  const dumping = app.order<DumpResult>('dumpCpu', 3000)
  let partial: string | undefined
  while ((partial = partialIn(directory)) === undefined) await sleep(20)
  damage(partial)
  assert.match(messageOf(await dumping), message)
  const failures = app.said('failure').slice(before)
  assert.deepEqual(
    failures.map(({ stage, kind }) => [stage, kind]),
    [['capture', 'cpu']],
  )
  assert.match(failures[0]?.message ?? '', message)
}

async function repaired(app: App, directory: string): Promise<void> {
  const { file } = await app.order<Dump>('dumpCpu', 10)
  assert.equal(join(directory, artefacts({ directory }, 'manual-cpu-').at(-1) ?? ''), file)
  assert.deepEqual(files({ directory }, '.partial'), [])
}

function partialIn(directory: string): string | undefined {
  try {
    return files({ directory }, '.partial')[0]
  } catch {
    return undefined
  }
}

function isWatching({ text }: { text: string }): boolean {
  return text.startsWith('watching')
}

function messageOf(result: DumpResult): string {
  assert.ok('skipped' in result && result.skipped === 'failed', JSON.stringify(result))
  return result.message
}
