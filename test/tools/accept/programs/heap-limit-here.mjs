// Deaths of V8's heap limit on the Node that runs this. CMM_SHAPES, CMM_COUNT (5) deaths per shape, CMM_LIMIT_MB (150). The last
// line is JSON: what was whole, what died otherwise than its twin, and the longest time from the limit to the death.
import { readFileSync } from 'node:fs'
import { sidecarOf, wayOfDying, withDeath, written } from './dying.mjs'
import { parameter } from './forking.mjs'
import { withDevTools } from './open-in-devtools.mjs'

const SHAPES = (process.env.CMM_SHAPES ?? 'burst,slow,array,json,strings,maps').split(',')
const [count, limitMb] = [parameter('CMM_COUNT', 5), parameter('CMM_LIMIT_MB', 150)]
const options = { memory: { limiter: [1000, 'hour'] }, signal: false }
/** Shapes that are made of one class, which DevTools must show. */
const OF_ONE_CLASS = ['burst', 'slow', 'maps']

const figures = {
  deaths: 0,
  profiles: 0,
  snapshots: 0,
  shown: 0,
  toShow: 0,
  otherwise: [],
  latestMs: 0,
  missing: [],
}
await withDevTools(async (devTools) => {
  for (const shape of SHAPES) {
    const twin = await withDeath({ shape, limitMb }, wayOfDying)
    for (let round = 0; round < count; round++) {
      await withDeath({ shape, limitMb, options }, (death) => look(devTools, shape, round, twin, death))
    }
  }
})
console.log(JSON.stringify({ node: process.version, ...figures }))

async function look(devTools, shape, round, twin, death) {
  figures.deaths++
  if (wayOfDying(death) !== twin) figures.otherwise.push(`${shape}: ${wayOfDying(death)} instead of ${twin}`)
  const { profile, snapshot } = await written(death)
  if (profile) figures.profiles++
  if (snapshot) figures.snapshots++
  const some = profile ?? snapshot
  if (some) {
    const reachedAtMs = Date.parse(sidecarOf(some).why.details.reachedAt)
    figures.latestMs = Math.max(figures.latestMs, death.diedAtMs - reachedAtMs)
  }
  if (!profile || !snapshot)
    figures.missing.push(`${shape}: ${/^cpu-memory-monitor: the heap.*$/m.exec(death.stderr)?.[0]}`)
  if (!snapshot || !OF_ONE_CLASS.includes(shape)) return
  figures.toShow++
  // DevTools takes as long as the snapshot itself did: it opens the first of each shape, of the others the class's name is looked for.
  const isShown =
    round === 0
      ? (await devTools.instances(snapshot, 'LeakedOrder').catch(report)) > 1000
      : readFileSync(snapshot).includes('"LeakedOrder"')
  if (isShown) figures.shown++
}

function report(error) {
  figures.missing.push(error.message)
  return 0
}
