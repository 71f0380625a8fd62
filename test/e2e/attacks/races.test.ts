// Another user swaps names while dumps are written, in a directory where the file system lets him: his own, or one that all may write
// to. A lost round is one in which he reads a byte of a dump, or has the service write or change something that he may not.
import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { attack, HUNG, type Loot, noAttacker, race, roundsOr, SIDE_BY_SIDE } from './attacker'
import { evil, makeDirectory, scratch } from './second-user'
import {
  filesIn,
  install,
  PROGRAMS,
  startVictim,
  testPackages,
  type Victim,
  type VictimOptions,
} from './victim'

/** The name that is swapped, and the moments at which it is. */
interface Swap {
  readonly suffix: string
  readonly moments: readonly string[]
}

const MEMORY = { memory: { threshold: '900gb' } }
const CPU = { cpu: { threshold: 100_000 } }

/** As soon as it appears, over and over, when the profile stands beside it, and a while later. */
const SNAPSHOT: Swap = {
  suffix: '.heapsnapshot.partial',
  moments: ['beside', 'appears', 'exchange', '20', '60'],
}
const LONE_SNAPSHOT: Swap = { suffix: '.heapsnapshot.partial', moments: ['appears', 'exchange', '5', '20'] }
const PROFILE: Swap = { suffix: '.heapprofile.partial', moments: ['appears', 'exchange', '10'] }
const CPU_PROFILE: Swap = { suffix: '.cpuprofile.partial', moments: ['appears', 'exchange', '2'] }
const SIDECAR: Swap = { suffix: '.json', moments: ['appears', 'exchange', '10'] }

/** Ways in which a file is written, and the share of the rounds that each has. */
const WAYS = [
  { way: 'a snapshot of a forked child', order: 'dumpMemory', options: MEMORY, swap: SNAPSHOT, share: 0.15 },
  {
    way: 'a sampling profile of a forked child',
    order: 'dumpMemory',
    options: MEMORY,
    swap: PROFILE,
    share: 0.05,
  },
  { way: 'a sidecar', order: 'dumpCpu', options: CPU, swap: SIDECAR, share: 0.3 },
  {
    way: 'a snapshot in place',
    order: 'dumpMemory',
    options: {},
    swap: LONE_SNAPSHOT,
    share: 0.1,
    addons: false,
  },
  {
    way: 'a sampling profile in place',
    order: 'dumpMemory',
    options: MEMORY,
    swap: PROFILE,
    share: 0.05,
    addons: false,
  },
  { way: 'a CPU profile', order: 'dumpCpu', options: CPU, swap: CPU_PROFILE, share: 0.3 },
  {
    way: 'a snapshot by heapdump',
    order: 'dumpMemory',
    options: {},
    swap: LONE_SNAPSHOT,
    share: 0.05,
    heapdump: true,
  },
] as const
/** Of a cluster's rounds, beside those of the ways. */
const CLUSTERS_SHARE = 0.05

describe('races', { skip: noAttacker, concurrency: SIDE_BY_SIDE }, () => {
  for (const { way, order, options, swap, share, ...how } of WAYS) {
    const noHeapdump = 'heapdump' in how && testPackages() === undefined && 'CMM_TEST_PACKAGES is not set'

    test(`F2 ${way} is not written into a file of another user`, { skip: noHeapdump }, async (t) => {
      const { victim, directory } = await prepare(t, options, how)
      await race(t, roundsOr(1, share), (round) =>
        swapped(t, victim, directory, order, swap, round, round % 3 === 2 ? 'pipe' : 'own'),
      )
    })

    test(
      `F3 ${way} does not overwrite a file to which another user links`,
      { skip: noHeapdump },
      async (t) => {
        const { victim, directory } = await prepare(t, options, how)
        const precious = join(scratch(t), 'precious')
        await race(t, roundsOr(1, share), async (round) => {
          writeFileSync(precious, 'precious', { mode: 0o600 })
          const result = await swapped(t, victim, directory, order, swap, round + 1, 'link', precious)
          const isUntouched = readFileSync(precious, 'utf8') === 'precious'
          return isUntouched ? result : { ...result, lost: `${statSync(precious).size} bytes over it` }
        })
      },
    )

    test(`F4 ${way} does not wait for a reader of a FIFO`, { skip: noHeapdump }, async (t) => {
      const { victim, directory } = await prepare(t, options, how)
      await race(t, roundsOr(1, share), (round) =>
        swapped(t, victim, directory, order, swap, round + 2, 'fifo'),
      )
      await stillDumps(victim)
    })
  }

  for (const [row, kind] of [
    ['F2', 'own'],
    ['F3', 'link'],
  ] as const) {
    test(`${row} the dump of a worker that a cluster replaces goes where it was meant to`, async (t) => {
      const directory = makeDirectory(scratch(t), 'dumps', 0o777, evil())
      const precious = join(scratch(t), 'precious')
      const dump = { profileDir: directory, limiter: [1000, 'minute'] }
      const options = { limit: '180mb', checkInterval: 100, count: 1, dump }
      const victim = await startVictim(t, options, { program: join(PROGRAMS, 'cluster.js') })
      await race(t, roundsOr(1, CLUSTERS_SHARE), async (round) => {
        writeFileSync(precious, 'precious', { mode: 0o600 })
        const moment = SNAPSHOT.moments[round % SNAPSHOT.moments.length] ?? ''
        const attacker = await attack(t, 'swap', directory, SNAPSHOT.suffix, kind, moment, precious)
        await victim.order('grow')
        const answer = await victim.order('replaced').catch((error: unknown) => `${HUNG}: ${String(error)}`)
        const loot = await attacker.end()
        for (const name of readdirSync(directory)) rmSync(join(directory, name))
        const isSafe = loot.bytes === 0 && readFileSync(precious, 'utf8') === 'precious'
        return {
          loot,
          lost: isSafe ? (typeof answer === 'string' ? answer : undefined) : `${loot.bytes} bytes`,
        }
      })
    })
  }

  test('F5 a directory that is swapped for a symlink as it is made: its target keeps mode and content', async (t) => {
    await flipped(t, 'dumps', 'dumps')
  })

  test('F5 a level above it that is swapped: nothing is made in the target of the symlink', async (t) => {
    await flipped(t, 'dumps', 'dumps/of/the/service')
  })

  for (const [what, order, swap, share] of [
    ['heap snapshot', 'dumpMemory', SNAPSHOT, 0.2],
    ['CPU profile', 'dumpCpu', CPU_PROFILE, 0.8],
  ] as const) {
    test(`H1 in a sticky directory nothing can be swapped, and each ${what} is made`, async (t) => {
      const directory = makeDirectory(scratch(t), 'sticky', 0o1777)
      const victim = await startVictim(t, { ...MEMORY, ...CPU, profileDir: directory })
      await race(t, roundsOr(2, share), async (round) => {
        const { loot, lost } = await swapped(t, victim, directory, order, swap, round, 'own')
        const isMade = victim.dumps().length === round + 1
        return { loot, lost: lost ?? (isMade && loot.hits === 0 ? undefined : 'no dump') }
      })
    })
  }
})

async function prepare(
  t: TestContext,
  options: object,
  { addons = true, heapdump = false }: { addons?: boolean; heapdump?: boolean },
): Promise<{ victim: Victim; directory: string }> {
  const parent = scratch(t)
  const directory = makeDirectory(parent, 'dumps', 0o777, evil())
  const more: VictimOptions = heapdump
    ? { program: install(parent, { helper: false, packages: ['heapdump'] }).program }
    : { execArgv: addons ? [] : ['--no-addons'] }
  const victim = await startVictim(t, { ...options, profileDir: directory }, more)
  return { victim, directory }
}

/** One dump under attack. What lies in the directory afterwards goes. */
async function swapped(
  t: TestContext,
  victim: Victim,
  directory: string,
  order: string,
  { suffix, moments }: Swap,
  round: number,
  ...[kind, target = '']: [kind: string, target?: string]
): Promise<{ loot: Loot; lost: string | undefined }> {
  const moment = moments[round % moments.length] ?? ''
  const attacker = await attack(t, 'swap', directory, suffix, kind, moment, target)
  const answer = await victim.order(order, 20).catch((error: unknown) => `${HUNG}: ${String(error)}`)
  const loot = await attacker.end()
  for (const name of readdirSync(directory)) rmSync(join(directory, name))
  const hung = typeof answer === 'string' ? answer : undefined
  return { loot, lost: loot.bytes > 0 ? `${loot.bytes} bytes in the hands of another user, ${moment}` : hung }
}

/** After the attacker has gone, a dump is made as ever. */
async function stillDumps(victim: Victim): Promise<void> {
  const result = await victim.order('dumpMemory')
  assert.ok('file' in result, JSON.stringify(result))
  assert.match(readFileSync(result.file, 'utf8').slice(0, 20), /^\{"snapshot"/)
}

/** Starts monitors whose directory another user swaps as soon as it is there. */
async function flipped(t: TestContext, name: string, wanted: string): Promise<void> {
  const parent = makeDirectory(scratch(t), 'parent', 0o755, evil())
  const target = makeDirectory(scratch(t), 'target', 0o755)
  writeFileSync(join(target, 'precious'), 'precious')
  const victim = await startVictim(t, {}, { args: ['0', '', 'later'] })
  await race(t, roundsOr(10, 0.5), async () => {
    const attacker = await attack(t, 'flip', parent, name, target)
    await victim.order('startIn', join(parent, wanted))
    const loot = await attacker.end()
    const mode = statSync(target).mode & 0o7777
    const content = filesIn(target)
    chmodSync(target, 0o755)
    for (const made of content) if (made !== 'precious') rmSync(join(target, made), { recursive: true })
    for (const left of readdirSync(parent)) rmSync(join(parent, left), { recursive: true })
    const isTouched = mode !== 0o755 || content.join() !== 'precious'
    return { loot, lost: isTouched ? `mode ${mode.toString(8)}, ${content.join()}` : undefined }
  })
}
