// A process that dies of V8's heap limit leaves its evidence, dies as it would have died, and no process dies that would have lived.
// CMM_NODES, CMM_SHAPES, CMM_COUNT (5), CMM_LIMIT_MB (150); CMM_BESIDE_MB (200), CMM_CONTAINERS (20), CMM_NEAR (100), CMM_LIVES (20).
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, parameter, withCgroup } from './programs/forking.mjs'
import { sidecarOf, withDeath, written } from './programs/dying.mjs'
import { onEachNode } from './programs/on-each-node.mjs'

/** One death in 120 may leave no profile, three no snapshot. */
const MAY_MISS = { profiles: 1 / 120, snapshots: 3 / 120 }
const LATEST_DEATH_MS = 2500
const options = { memory: { limiter: [1000, 'hour'] }, signal: false }
const MIB = 1024 * 1024

const nodes = onEachNode('heap-limit-here.mjs')
  .split('; ')
  .map((line) => JSON.parse(line))
const sum = (name) => nodes.reduce((total, node) => total + node[name], 0)
const [deaths, profiles, snapshots] = [sum('deaths'), sum('profiles'), sum('snapshots')]
const latestMs = Math.max(...nodes.map((node) => node.latestMs))
const besides = await compareWithNode()
const containers = await dieInContainers()
const near = await comeNear()
const lives = await crashLoop()

console.log(
  `${deaths} deaths: ${profiles} profiles, ${snapshots} snapshots, ${sum('shown')} of ${sum('toShow')} show the class, ` +
    `all died like their twins, at most ${latestMs} ms after the limit; ` +
    `beside --heapsnapshot-near-heap-limit=1 at ${besides.limitMb} MB: death after ${besides.ours.ms} and ${besides.nodes.ms} ms, ` +
    `peak ${besides.ours.peakMb} and ${besides.nodes.peakMb} MB, none ${besides.none.peakMb} MB; ` +
    `in containers of heap + 400 MB: ours left a profile ${containers.ours} and Node's own a snapshot ${containers.nodes} ` +
    `of ${containers.count} times; ${near.recovered} of ${near.count} that came near recovered, ${near.dumps} dumps; ` +
    `${lives.dumps} dumps of ${lives.count} lives with a budget of 3`,
)
for (const { node, otherwise, missing } of nodes) {
  assert.deepEqual(otherwise, [], `${node} died otherwise`)
  if (missing.length > 0) console.error(`${node}: ${missing.join('\n')}`)
}
assert.ok(deaths - profiles <= Math.ceil(deaths * MAY_MISS.profiles), `${profiles} profiles of ${deaths}`)
assert.ok(deaths - snapshots <= Math.ceil(deaths * MAY_MISS.snapshots), `${snapshots} snapshots of ${deaths}`)
assert.equal(sum('shown'), sum('toShow'))
assert.ok(latestMs <= LATEST_DEATH_MS, `death ${latestMs} ms after the limit`)
assert.ok(besides.ours.ms * 5 <= besides.nodes.ms)
assert.ok(besides.ours.peakMb <= besides.none.peakMb * 1.1, 'the dying process took more memory')
assert.equal(containers.ours, containers.count)
assert.deepEqual([near.recovered, near.dumps], [near.count, near.calls])
assert.equal(lives.dumps, 3)

/** Time from the limit to the death, and the peak of the dying process, by our way, by Node's own flag, and by none. */
async function compareWithNode() {
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
  return { limitMb, none: middle(none), ours: middle(ours), nodes: middle(nodesOwn) }
}

async function dieInContainers() {
  const [count, limitMb] = [parameter('CMM_CONTAINERS', 20), parameter('CMM_BESIDE_MB', 200)]
  const containerBytes = (limitMb + 400) * MIB
  let ours = 0
  let nodesOwn = 0
  for (let round = 0; round < count; round++) {
    await withCgroup(containerBytes, (procs) =>
      withDeath({ limitMb, options, env: { CMM_PROCS: procs } }, async (death) => {
        if ((await written(death)).profile) ours++
      }),
    )
    if (round >= 3) continue
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
  return { count, ours, nodes: nodesOwn }
}

/** Processes that come within 5 % of the limit several times, and recover. */
async function comeNear() {
  const count = parameter('CMM_NEAR', 100)
  const found = { count, recovered: 0, dumps: 0, calls: 0 }
  for (let round = 0; round < count; round++) {
    await withDeath(
      { program: 'recovers.js', limitMb: 60, options, args: ['0.95'] },
      ({ code, stdout, stderr, directory }) => {
        if (code === 0 && stdout.includes('recovered')) found.recovered++
        if (stderr.includes('the heap has reached')) found.calls++
        if (readdirSync(directory).some((name) => name.startsWith('heap-limit-'))) found.dumps++
      },
    )
  }
  return found
}

/** One process after the other, restarted at once in the same directory, dies of its heap limit. */
async function crashLoop() {
  const count = parameter('CMM_LIVES', 20)
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  try {
    for (let life = 0; life < count; life++) {
      await withDeath(
        { shape: 'array', limitMb: 60, options: { memory: {}, signal: false }, args: ['1000'], directory },
        () => {},
      )
    }
    await written({ directory })
    const dumps = readdirSync(directory).filter((name) => name.endsWith('.heapprofile')).length
    return { count, dumps }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
