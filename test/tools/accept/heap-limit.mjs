// A process that dies of V8's heap limit leaves its evidence, dies as it would have died, and no process dies that would have lived.
//
// Each part prints one line: deaths, beside, containers, near, lives, large. CMM_PARTS names those to run, the default is all.
// In short form: CMM_NODES, CMM_SHAPES, CMM_COUNT (5), CMM_LIMIT_MB (150, the least that `maps` shows its class with) for deaths; CMM_BESIDE_MB (200) for beside and containers;
// CMM_CONTAINERS (20), CMM_NEAR (100), CMM_LIVES (20), CMM_LARGE_MB (1024).
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sidecarOf, withDeath, written } from './programs/dying.mjs'
import { median, parameter, withCgroup } from './programs/forking.mjs'
import { onEachNode } from './programs/on-each-node.mjs'

/** One death in 120 may leave no profile, three no snapshot. */
const MAY_MISS = { profiles: 1 / 120, snapshots: 3 / 120 }
const LATEST_DEATH_MS = 2500
const BUDGET = 3
/** Number of times that recovers.js comes near the limit. */
const NEAR_ROUNDS = 5
const options = { memory: { limiter: [1000, 'hour'] }, signal: false }
const MIB = 1024 * 1024

const PARTS = { deaths, beside, containers, near, lives, large }
const named = process.env.CMM_PARTS?.split(',') ?? Object.keys(PARTS)
const figures = []
for (const name of named) {
  const { figure, check } = await PARTS[name]()
  figures.push(`${name}: ${figure}`)
  console.log(figures.at(-1))
  try {
    check()
  } catch (error) {
    console.error(`${name}: ${error.message}`)
    process.exitCode = 1
  }
}
if (figures.length > 1) console.log(figures.join('; '))

/** Heap shapes by Nodes: whole files, the class in DevTools, the way of dying, the time from the limit to the death. */
function deaths() {
  const nodes = onEachNode('heap-limit-here.mjs')
    .split('; ')
    .map((line) => JSON.parse(line))
  const sum = (name) => nodes.reduce((total, node) => total + node[name], 0)
  const [count, profiles, snapshots] = [sum('deaths'), sum('profiles'), sum('snapshots')]
  const latestMs = Math.max(...nodes.map((node) => node.latestMs))
  const differing = nodes.flatMap(({ node, otherwise }) => otherwise.map((how) => `${node} ${how}`))
  for (const { node, missing } of nodes) for (const each of missing) console.error(`${node} ${each}`)
  return {
    figure:
      `${count}: ${profiles} profiles, ${snapshots} snapshots, ${sum('shown')} of ${sum('toShow')} show the class ` +
      `(DevTools opened ${sum('opened')}, one of each shape and Node, in at most ${Math.max(...nodes.map(({ devToolsMs }) => devToolsMs))} ms), ` +
      `${count - differing.length} died like their twins, at most ${latestMs} ms after the limit`,
    check: () => {
      assert.deepEqual(differing, [])
      assert.ok(count - profiles <= Math.ceil(count * MAY_MISS.profiles), `${profiles} profiles of ${count}`)
      assert.ok(
        count - snapshots <= Math.ceil(count * MAY_MISS.snapshots),
        `${snapshots} snapshots of ${count}`,
      )
      assert.equal(sum('shown'), sum('toShow'))
      assert.ok(latestMs <= LATEST_DEATH_MS, `death ${latestMs} ms after the limit`)
    },
  }
}

/** Time from the limit to the death, and the peak of the dying process, by our way, by Node's own flag, and by none. */
async function beside() {
  const limitMb = parameter('CMM_BESIDE_MB', 200)
  const none = []
  const ours = []
  const nodesOwn = []
  for (let round = 0; round < 3; round++) {
    none.push(await withDeath({ limitMb }, (death) => ({ ms: 0, peakMb: death.peakBytes / MIB })))
    ours.push(
      await withDeath({ limitMb, options }, async (death) => {
        const { profile } = await written(death)
        return {
          ms: death.diedAtMs - Date.parse(sidecarOf(profile).why.details.reachedAt),
          peakMb: death.peakBytes / MIB,
        }
      }),
    )
    const execArgv = ['--heapsnapshot-near-heap-limit=1']
    nodesOwn.push(
      await withDeath({ limitMb, execArgv }, (death) => {
        // Node names the file by the second in which it begins to write, and creates it then.
        const [name] = readdirSync(death.directory).filter((each) => each.startsWith('Heap.'))
        const beganAtMs = name ? statSync(join(death.directory, name)).birthtimeMs : death.startedAtMs
        return { ms: death.diedAtMs - beganAtMs, peakMb: death.peakBytes / MIB }
      }),
    )
  }
  const middle = (all) => ({
    ms: Math.round(median(all.map(({ ms }) => ms))),
    peakMb: Math.round(median(all.map(({ peakMb }) => peakMb))),
  })
  const [without, our, nodes] = [middle(none), middle(ours), middle(nodesOwn)]
  return {
    figure:
      `at ${limitMb} MB death ${our.ms} ms after the limit, with --heapsnapshot-near-heap-limit=1 ${nodes.ms} ms; ` +
      `peak ${our.peakMb} MB, with it ${nodes.peakMb} MB, with neither ${without.peakMb} MB`,
    check: () => {
      assert.ok(our.ms * 5 <= nodes.ms, `${our.ms} ms is more than a fifth of ${nodes.ms} ms`)
      assert.ok(our.peakMb <= without.peakMb * 1.1, 'the dying process took more memory')
    },
  }
}

/** Containers with room for the heap and 400 MB: what is left by our way, and by Node's own flag. */
async function containers() {
  const [count, limitMb] = [parameter('CMM_CONTAINERS', 20), parameter('CMM_BESIDE_MB', 200)]
  const containerBytes = (limitMb + 400) * MIB
  let ours = 0
  let snapshots = 0
  let nodesOwn = 0
  for (let round = 0; round < count; round++) {
    await withCgroup(containerBytes, (procs) =>
      withDeath({ limitMb, options, env: { CMM_PROCS: procs } }, async (death) => {
        const { profile, snapshot } = await written(death)
        if (profile) ours++
        if (snapshot) snapshots++
      }),
    )
    await withCgroup(containerBytes, (procs) =>
      withDeath(
        { limitMb, execArgv: ['--heapsnapshot-near-heap-limit=1'], env: { CMM_PROCS: procs } },
        (death) => {
          const whole = readdirSync(death.directory).filter((name) => name.startsWith('Heap.'))
          if (
            whole.some((name) => readFileSync(join(death.directory, name)).subarray(-3).toString() === '"]}')
          )
            nodesOwn++
        },
      ),
    )
  }
  return {
    figure: `${ours} of ${count} left a profile, ${snapshots} a snapshot; Node's own left ${nodesOwn} of ${count} snapshots`,
    check: () => {
      assert.equal(ours, count)
      assert.equal(nodesOwn, 0)
    },
  }
}

/**
 * Processes that come within 5 % of the limit several times, and recover. Whether V8 called is known by the callback's line
 * alone, so each dump is judged by its own figure of the heap.
 */
async function near() {
  const count = parameter('CMM_NEAR', 100)
  const found = { recovered: 0, near: 0, calls: 0, dumps: 0, early: 0 }
  const failed = []
  for (let round = 0; round < count; round++) {
    await withDeath(
      { program: 'recovers.js', limitMb: 60, options, args: ['0.95'] },
      async ({ code, stdout, stderr, directory }) => {
        // Each process has to have come near in each of its rounds, and to have let go after each.
        const peaks = sharesIn(stdout, 'peak')
        const lows = sharesIn(stdout, 'low')
        const isNear = peaks.length === NEAR_ROUNDS && peaks.every((peak) => peak >= 0.95)
        const hasLetGo = lows.length === NEAR_ROUNDS && lows.every((low) => low < 0.5)
        const hasRecovered = code === 0 && stdout.includes('recovered') && hasLetGo
        if (hasRecovered) found.recovered++
        if (isNear) found.near++
        if (!isNear || !hasRecovered)
          failed.push(`process ${round}: code ${code}, ${JSON.stringify({ peaks, lows })}`)
        if (stderr.includes('the heap has reached')) found.calls++
        const { profile, snapshot } = await written({ directory })
        if (!profile && !snapshot) return
        found.dumps++
        const { details } = sidecarOf(profile ?? snapshot).why
        if (details.heapUsed < 0.9 * details.heapLimit) found.early++
      },
    )
  }
  const { recovered, near, calls, dumps, early } = found
  return {
    figure:
      `${recovered} of ${count} recovered, ${near} from 95 % of the limit, the callback was called in ${calls}, ` +
      `${dumps} dumps, ${early} of them before 90 %`,
    check: () => {
      assert.deepEqual(failed, [])
      assert.deepEqual([recovered, near, early, dumps <= calls], [count, count, 0, true])
    },
  }
}

function sharesIn(stdout, name) {
  return [...stdout.matchAll(new RegExp(`^${name} ([\\d.]+)$`, 'gm'))].map(([, share]) => Number(share))
}

/** One process after the other, restarted at once in the same directory, dies of its heap limit. */
async function lives() {
  const count = parameter('CMM_LIVES', 20)
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  let limited = 0
  try {
    for (let life = 0; life < count; life++) {
      await withDeath(
        { shape: 'array', limitMb: 60, options: { memory: {}, signal: false }, directory },
        ({ stderr }) => {
          if (stderr.includes('no dump: limited')) limited++
        },
      )
    }
    await written({ directory })
    const dumps = readdirSync(directory).filter((name) => name.endsWith('.heapprofile')).length
    return {
      figure: `${dumps} dumps of ${count} lives in one directory with a budget of ${BUDGET}, ${limited} refused`,
      check: () => {
        assert.equal(dumps, BUDGET)
        assert.equal(limited, count - BUDGET)
      },
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** One death with a large heap of small objects. */
async function large() {
  const limitMb = parameter('CMM_LARGE_MB', 1024)
  return withDeath({ limitMb, options }, async (death) => {
    const { profile, snapshot } = await written(death, 600_000)
    const { why } = profile ? sidecarOf(profile) : { why: undefined }
    const diedAfterMs = why && death.diedAtMs - Date.parse(why.details.reachedAt)
    const { how, where } = snapshot ? sidecarOf(snapshot) : {}
    return {
      figure:
        `at ${limitMb} MB death ${diedAfterMs} ms after the limit; pause ${Math.round(how?.pauseMs)} ms at fork ${why?.details.fork}; ` +
        `snapshot of ${Math.round(how?.sizeBytes / MIB)} MB in ${Math.round(how?.durationMs / 1000)} s ` +
        `of ${where?.limits.childDeadlineMs / 1000} s allowed, child's peak ${Math.round(how?.notes.childPeakBytes / MIB)} MB`,
      check: () => {
        assert.ok(profile, 'no profile')
        assert.ok(snapshot, 'no snapshot')
        assert.ok(diedAfterMs <= LATEST_DEATH_MS, `death ${diedAfterMs} ms after the limit`)
      },
    }
  })
}
