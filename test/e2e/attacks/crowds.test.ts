// Crowds: of planted names, of signals, of workers. The numbers are small here and large in `npm run accept -- attacks`.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chownSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { isLong, SIDE_BY_SIDE } from './attacker'
import { evil, makeDirectory, noSecondUser, scratch } from './second-user'
import { cleanEnvironment, filesIn, PROGRAMS, startVictim } from './victim'

const CROWD = isLong ? 300_000 : 20_000
const MIB = 1024 * 1024

describe('planted names', { skip: noSecondUser, concurrency: SIDE_BY_SIDE }, () => {
  // Sidecars are read for deletion and for the dumps at the heap limit: a line for each. With more names than are looked at, each of
  // the three that read names has a line.
  for (const [suffix, lineCount] of [
    ['.heapsnapshot.json', 2],
    ['.heapsnapshot.partial', 1],
  ] as const) {
    test(`F11 a crowd of *${suffix} is named once, and dumps, deletion and memory are as ever`, async (t) => {
      const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
      for (let n = 1; n <= CROWD; n++) {
        const file = join(directory, `memory-${n}-1${suffix}`)
        writeFileSync(file, '')
        chownSync(file, evil().uid, evil().gid)
      }
      const options = {
        profileDir: directory,
        keep: 1,
        memory: { threshold: 0, interval: 100, limiter: [1, 'day'] },
      }
      const victim = await startVictim(t, options)
      const before = await victim.order<NodeJS.MemoryUsage>('memory')
      await victim.until('a dump at the threshold', () => victim.dumps().length > 0)
      const byHand = await victim.order('dumpMemory')
      assert.ok('file' in byHand, JSON.stringify(byHand))
      await victim.order('stop')
      const after = await victim.order<NodeJS.MemoryUsage>('memory')
      assert.deepEqual(victim.failures(), [])
      assert.equal(victim.dumps().length, 2, 'each dump is made once')
      const planted = readdirSync(directory).filter(
        (name) => name.startsWith('memory-') && name.endsWith(`-1${suffix}`),
      )
      assert.equal(planted.length, CROWD, 'nothing of the other user is touched')
      const lines = victim
        .lines()
        .filter((line) => !/^watching|\.heapsnapshot|has not responded to the call/.test(line))
      assert.equal(lines.length, isLong ? 3 : lineCount, lines.join('\n'))
      assert.equal(new Set(lines).size, lines.length)
      for (const line of lines) assert.ok(line.includes(directory))
      const grownMib = Math.round((after.rss - before.rss) / MIB)
      t.diagnostic(`${t.name}: ${CROWD} names, resident memory grew by ${grownMib} MiB`)
      if (isLong) assert.ok(grownMib < 100, `resident memory grew by ${grownMib} MiB`)
    })
  }

  test('F11 its own dumps are deleted beyond keep all the same', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    for (let n = 1; n <= 3000; n++) {
      const file = join(directory, `memory-${n}-1.heapsnapshot.json`)
      writeFileSync(file, '')
      chownSync(file, evil().uid, evil().gid)
    }
    const memory = { threshold: 0, interval: 100, limiter: [1, 'day'], sampling: false }
    for (let dump = 0; dump < 3; dump++) {
      const victim = await startVictim(t, { profileDir: directory, keep: 2, memory })
      await victim.until('a dump', () => victim.dumps().length > 0)
      await victim.order('stop')
      victim.child.kill('SIGKILL')
      await victim.ended
    }
    assert.equal(filesIn(directory).filter((name) => name.endsWith('.heapsnapshot')).length, 2)
  })
})

for (const [value, isRefused] of [
  ['9007199254740991', true],
  ['1000000', true],
  ['3000', false],
] as const) {
  test(`F21 CPU_COUNT=${value} is refused, or leads to one warning and no crowd of processes at once`, () => {
    const env = { ...cleanEnvironment(), CPU_COUNT: value }
    const options = { env, encoding: 'utf8', timeout: 15_000, killSignal: 'SIGKILL' } as const
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(PROGRAMS, 'crowded-cluster.js')],
      options,
    )
    if (isRefused || status !== 0) {
      assert.equal(status, 1)
      assert.match(stderr, /RangeError.*CPU_COUNT/)
      return
    }
    const { forks, lines } = JSON.parse(stdout) as { forks: number; lines: number }
    assert.ok(lines < 20 && forks < 100, `${forks} forks, ${lines} lines`)
  })
}

test(
  'F23 signals during a dump make no promise each',
  { skip: process.platform !== 'linux' && 'Linux' },
  async (t) => {
    const directory = scratch(t)
    const extra = join(PROGRAMS, 'flooded.js')
    const victim = await startVictim(
      t,
      { profileDir: directory },
      { args: ['30', extra], execArgv: ['-r', extra] },
    )
    await victim.order('count')
    const before = await victim.order<NodeJS.MemoryUsage>('memory')
    // Signals that come faster than they are delivered become one.
    for (let dumps = isLong ? 10 : 1; victim.dumps().length < dumps && victim.child.exitCode === null;) {
      process.kill(victim.pid, 'SIGUSR2')
      await new Promise((turn) => setImmediate(turn))
    }
    await victim.order('stop')
    const { promises, signals } = await victim.order<{ promises: number; signals: number }>('counted')
    const after = await victim.order<NodeJS.MemoryUsage>('memory')
    const grownMib = Math.round((after.rss - before.rss) / MIB)
    t.diagnostic(
      `${t.name}: ${signals} signals, ${promises} promises, ${victim.dumps().length} dumps, ${grownMib} MiB more`,
    )
    assert.ok(signals > 1000, `only ${signals} signals arrived`)
    assert.ok(promises < signals / 2, `${promises} promises for ${signals} signals`)
  },
)
