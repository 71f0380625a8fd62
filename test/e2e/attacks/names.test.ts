// Names in directories that others can write to: taken, full, or in the hands of a stranger.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { attack, noAttacker, race, roundsOr, SIDE_BY_SIDE } from './attacker'
import { evil, makeDirectory, noSecondUser, scratch } from './second-user'
import { childrenOf, filesIn, startVictim, until, type Victim } from './victim'

/** Trips at the first reading, and has one dump for the day. */
const ONE_DUMP = { threshold: 0, interval: 100, limiter: [1, 'day'], sampling: false }

describe('names in a sticky directory', { skip: noAttacker, concurrency: SIDE_BY_SIDE }, () => {
  test('F9 a final name that is taken does not suppress a dump by hand', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    const victim = await startVictim(t, { profileDir: directory })
    await race(t, roundsOr(1, 0.15), async () => {
      const attacker = await attack(t, 'take', directory, '.heapsnapshot.partial', '1')
      const result = await victim.order('dumpMemory')
      const loot = await attacker.end()
      const lost = 'file' in result ? foreign(result.file) : JSON.stringify(result)
      for (const name of filesIn(directory)) rmSync(join(directory, name))
      return { loot, lost }
    })
  })

  test('F9 nor a dump at a threshold, whose only token is not spent in vain', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    await race(t, roundsOr(1, 0.1), async () => {
      const attacker = await attack(t, 'take', directory, '.heapsnapshot.partial', '1')
      const victim = await startVictim(t, { profileDir: directory, memory: ONE_DUMP })
      await victim.until('a dump, or why there is none', () => isAnswered(victim))
      const loot = await attacker.end()
      const [dump] = victim.dumps()
      const lost = dump ? foreign(dump.file) : `no dump: ${victim.lines().at(-1)}`
      victim.child.kill('SIGKILL')
      await victim.ended
      for (const name of filesIn(directory)) rmSync(join(directory, name))
      return { loot, lost }
    })
  })

  test('F9 nor when the next names are taken with it', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    const victim = await startVictim(t, { profileDir: directory })
    await race(t, roundsOr(1, 0.15), async () => {
      const attacker = await attack(t, 'take', directory, '.heapsnapshot.partial', '9')
      const result = await victim.order('dumpMemory')
      const loot = await attacker.end()
      const lost = 'file' in result ? foreign(result.file) : JSON.stringify(result)
      for (const name of filesIn(directory)) rmSync(join(directory, name))
      return { loot, lost }
    })
  })

  for (const [order, share] of [
    ['dumpCpu', 0.6],
    ['dumpMemory', 0.1],
  ] as const) {
    test(`F9 nor names that are taken as they appear, and the moment one is free: ${order}`, async (t) => {
      const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
      const victim = await startVictim(t, { profileDir: directory })
      await race(t, roundsOr(5, share), async () => {
        const attacker = await attack(t, 'seize', directory, '.json', '-')
        const result = await victim.order(order, 20)
        const loot = await attacker.end()
        const lost = 'file' in result ? foreign(result.file) : whyNotKept(directory, result)
        for (const name of filesIn(directory)) rmSync(join(directory, name))
        return { loot, lost }
      })
    })
  }

  test('F9 a CPU profile finds another name too', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    const victim = await startVictim(t, { profileDir: directory })
    await race(t, roundsOr(2, 0.6), async () => {
      const attacker = await attack(t, 'take', directory, '.cpuprofile.partial', '1')
      const result = await victim.order('dumpCpu', 20)
      const loot = await attacker.end()
      const lost = 'file' in result ? foreign(result.file) : JSON.stringify(result)
      for (const name of filesIn(directory)) rmSync(join(directory, name))
      return { loot, lost }
    })
  })

  test('F10 a file of another user at the final name of a dump whose child was killed is no dump', async (t) => {
    const directory = makeDirectory(scratch(t), 'tmp', 0o1777)
    const victim = await startVictim(t, { profileDir: directory }, { args: ['10'] })
    await race(t, roundsOr(1, 1), async () => {
      const attacker = await attack(t, 'take', directory, '.heapsnapshot.partial', '1')
      const answer = victim.order('dumpMemory')
      const child = await until('a child that writes', () => {
        const [partial] = filesIn(directory, '.heapsnapshot.partial')
        const isWriting = partial !== undefined && (statOf(join(directory, partial))?.size ?? 0) > 0
        return isWriting ? childrenOf(victim.pid)[0] : undefined
      })
      process.kill(child, 'SIGKILL')
      const result = await answer
      const loot = await attacker.end()
      const events = victim.dumps().map(({ file }) => foreign(file))
      const lost = 'file' in result ? foreign(result.file) : events.find((one) => one !== undefined)
      for (const name of filesIn(directory)) rmSync(join(directory, name))
      return { loot, lost }
    })
    assert.deepEqual(victim.dumps(), [])
  })
})

test(
  'F17 a dump that is whole is kept where there is no inode left for a hard link',
  { skip: noSecondUser },
  async (t) => {
    // The directory itself, the partial and its sidecar.
    const directory = mount(t, 'size=1g,nr_inodes=3')
    if (directory === undefined) return
    const victim = await startVictim(t, { profileDir: directory })
    const result = await victim.order('dumpMemory')
    assert.ok('file' in result, JSON.stringify(result))
    assert.deepEqual(filesIn(directory).length, 2)
  },
)

describe(
  'a directory that others can tamper with is named at the start',
  { skip: noSecondUser, concurrency: SIDE_BY_SIDE },
  () => {
    for (const [what, mode, isEvils, below] of [
      ['F2 one that belongs to another user', 0o700, true, ''],
      ['F2 one that all may write to, without the sticky bit', 0o777, false, ''],
      ['F2 one below a directory of another user', 0o755, true, 'mine'],
    ] as const) {
      test(what, async (t) => {
        const parent = makeDirectory(scratch(t), 'parent', mode, isEvils ? evil() : undefined)
        const directory = join(parent, below)
        if (below) mkdirSync(directory, { mode: 0o700 })
        const notices = await noticesAbout(t, directory)
        assert.equal(notices.length, 1, notices.join('\n'))
        assert.ok(notices[0]?.includes(parent))
      })
    }

    for (const [what, mode] of [
      ['F2 but not one of its own', 0o700],
      ['F2 nor a sticky one, as /tmp', 0o1777],
    ] as const) {
      test(what, async (t) => {
        const directory = makeDirectory(scratch(t), 'dumps', mode)
        assert.deepEqual(await noticesAbout(t, directory), [])
      })
    }
  },
)

const PERMISSION =
  Number.parseInt(process.versions.node, 10) < 24 ? '--experimental-permission' : '--permission'

describe(
  'under --permission, where V8 has to be given a path',
  { skip: noSecondUser, concurrency: SIDE_BY_SIDE },
  () => {
    for (const [what, owner] of [
      ['F2 no snapshot is written where another user could make the path lead elsewhere', 'another user'],
      ['F2 but one is in a directory of its own', 'this user'],
    ] as const) {
      test(what, async (t) => {
        const isOwn = owner === 'this user'
        const directory = makeDirectory(scratch(t), 'dumps', 0o700, isOwn ? undefined : evil())
        const execArgv = [PERMISSION, '--allow-fs-read=*', `--allow-fs-write=${directory}`, '--no-warnings']
        const victim = await startVictim(t, { profileDir: directory }, { execArgv })
        const result = await victim.order('dumpMemory')
        if (isOwn) assert.ok('file' in result, JSON.stringify(result))
        else
          assert.match(
            'message' in result ? (result.message ?? '') : '',
            /could redirect the write, because .* belongs to the user/,
          )
        assert.equal(filesIn(directory).length, isOwn ? 2 : 0)
      })
    }
  },
)

/** Lines about the directory beyond the start line. */
async function noticesAbout(t: TestContext, directory: string): Promise<string[]> {
  const victim = await startVictim(t, { profileDir: directory })
  await victim.until('the start line', () => victim.lines().some((line) => line.startsWith('watching')))
  // A dump comes after everything that the start has to do.
  await victim.order('dumpCpu', 10)
  // On a busy machine the main thread takes its orders late, which is a line too.
  const isMore = (line: string): boolean => !/^watching|\.cpuprofile|has not responded to the call/.test(line)
  return victim.lines().filter(isMore)
}

const isAnswered = (victim: Victim): boolean => victim.dumps().length + victim.failures().length > 0

/** What is wrong where no name was free: the whole dump has to be there as a `.partial`, which the failure names. */
function whyNotKept(directory: string, result: object): string | undefined {
  const [, kept] = /kept as ([^"]+\.partial)/.exec(JSON.stringify(result)) ?? []
  return kept === undefined ? JSON.stringify(result) : foreign(join(directory, kept))
}

/** What is wrong with a file that was reported as a dump. */
function foreign(file: string): string | undefined {
  const stats = statOf(file)
  if (!stats) return `${file} is not there`
  if (stats.uid !== process.getuid?.()) return `${file} belongs to another user`
  return /^\{"(snapshot|startTime|nodes|head)"/.test(readFileSync(file, 'utf8').slice(0, 20))
    ? undefined
    : `${file} is no dump`
}

function statOf(file: string): ReturnType<typeof lstatSync> | undefined {
  try {
    return lstatSync(file)
  } catch {
    return undefined
  }
}

function mount(t: TestContext, options: string): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'attacks-'))
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory])
  t.after(() => {
    if (status === 0) execFileSync('umount', ['-l', directory])
    rmSync(directory, { recursive: true })
  })
  if (status === 0) return directory
  t.skip(`cannot mount a tmpfs: ${stderr.toString().trim()}`)
  return undefined
}
