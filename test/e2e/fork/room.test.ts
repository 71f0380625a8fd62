import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dump } from '../../../dist/dispatch/events.js'
import { tmpfs } from '../../unit/files/scratch'
import { artefacts, files, places, sidecarOf, startApp } from '../monitor/app'
import { limitedTo } from '../monitor/memory-cgroup'
import { instances } from '../monitor/profiles'
import { untilForked } from './forked-child'
import { whyNoHelper } from './native/forking-server'

const MIB = 1024 * 1024
/** The floor, the estimate of a snapshot of this heap, and a little more: a dump begins. */
const DISK_BYTES = 400 * MIB
const env = { HEAP_MB: '14' }

describe('a forked snapshot', { skip: whyNoHelper(), concurrency: 1 }, () => {
  test('that fills the disk is a failure, with no half file, and the application goes on', async (t) => {
    const disk = tmpfs(t, DISK_BYTES)
    if (!disk) return
    const app = startApp(t, 'forking.js', { memory: { threshold: '20gb' }, profileDir: disk.path }, { env })
    await app.order('leak')
    const dumping = app.order('dumpMemory')
    await untilForked(app)
    fill(join(disk.path, 'ballast'))
    await dumping
    assert.match(app.said('failure')[0]?.message ?? '', /ENOSPC|is incomplete/)
    assert.equal(app.said('failure').length, 1)
    const left = files({ directory: disk.path }).filter((name) => name !== 'ballast')
    assert.deepEqual(
      left.filter((name) => /partial|heapsnapshot/.test(name)),
      [],
    )
    // In place it would have stopped the application, only to meet the same disk.
    assert.ok(!app.said('dump').some(({ way }) => way === 'v8'))

    execFileSync('rm', [join(disk.path, 'ballast')])
    assert.equal((await app.order<Dump>('dumpMemory')).way, 'fork')
  })

  // A snapshot of 40 MB of small things needs about 1 GB, whichever the Node.
  for (const [limitMb, heapMb, whole] of [
    [300, '40', false],
    [3000, '14', true],
  ] as const) {
    const what = whole ? 'is whole where there is room' : 'leaves the profile where there is none'
    test(`under a memory limit of ${limitMb} MB ${what}; nobody is killed`, async (t) => {
      const group = limitedTo(t, limitMb * MIB)
      if ('reason' in group) return t.skip(group.reason)
      const app = startApp(
        t,
        'forking.js',
        { memory: { threshold: '20gb' } },
        {
          env: { HEAP_MB: heapMb, JOIN_CGROUP: group.procs },
        },
      )
      const leaked = await app.order<number>('leak')
      const dump = await app.order<Dump>('dumpMemory')
      assert.equal(dump.way, whole ? 'fork' : 'sampling', JSON.stringify(app.said('failure')))
      if (whole) assert.equal(instances(dump.file, 'LeakedThing'), leaked)
      else assert.ok(allocators(dump.file).has('leakThings'))
      const skips = app
        .said('skip')
        .map(({ reason, numbers }) => [reason, Number(numbers['needBytes']) > Number(numbers['haveBytes'])])
      assert.deepEqual(skips, whole ? [] : [['memory', true]])
      assert.deepEqual([app.said('failure'), files(app, '.partial')], [[], []])
      assert.equal(oomKills(dirname(group.procs)), 0)
      assert.ok((await app.order<number>('rss')) > 0)
    })
  }

  for (const { watchdog, place } of places) {
    test(`is in no reading of the application's, and causes no other dump, ${place}`, async (t) => {
      const app = startApp(
        t,
        'forking.js',
        {
          cpu: { interval: 250, threshold: 60, duration: 100, limiter: [100, 'hour'] },
          memory: { interval: 250, threshold: '20gb', limiter: [100, 'hour'] },
          watchdog,
        },
        { env },
      )
      await app.order('leak')
      // The leak itself is work: its reading has to be past.
      await sleep(1500)
      const before = await app.order<number>('rss')
      const began = app.said('dump').length
      const dump = await app.order<Dump>('dumpMemory')
      assert.equal(dump.way, 'fork')
      await sleep(1500)
      const again = await app.order<Dump>('dumpMemory')
      // Counted as the application's, it would stand out.
      assert.ok(Number(dump.childPeakBytes) > before * 0.5, `${dump.childPeakBytes} beside ${before}`)
      const rss = sidecarOf(again.file).why.readings.map(({ value }) => value)
      assert.ok(Math.max(...rss) < before * 1.3, `${rss.join()} beside ${before}`)
      assert.deepEqual(
        app
          .said('dump')
          .slice(began)
          .map(({ kind, rule }) => [kind, rule]),
        [
          ['memory', 'manual'],
          ['memory', 'manual'],
        ],
      )
      assert.equal(
        artefacts(app, 'cpu-').length,
        app.said('dump').filter(({ kind }) => kind === 'cpu').length,
      )
    })
  }
})

/** Takes what there is, and what comes free, for as long as the file is there. */
function fill(file: string): void {
  execFileSync('sh', ['-c', `cat /dev/zero > ${file} 2>/dev/null || true`], { stdio: 'ignore' })
}

interface Node {
  readonly callFrame: { readonly functionName: string }
  readonly children: readonly Node[]
}

function allocators(file: string): Set<string> {
  const names = new Set<string>()
  const visit = ({ callFrame, children }: Node): void => {
    names.add(callFrame.functionName)
    children.forEach(visit)
  }
  visit((JSON.parse(readFileSync(file, 'utf8')) as { head: Node }).head)
  return names
}

/** How many processes of the group the kernel has killed; v1 and v2 tell it in different files. */
function oomKills(group: string): number {
  for (const name of ['memory.oom_control', 'memory.events']) {
    try {
      return Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(group, name), 'utf8'))?.[1] ?? 0)
    } catch {
      continue
    }
  }
  return 0
}
