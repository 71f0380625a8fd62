// Deaths of V8's heap limit on the Node that runs this. CMM_SHAPES, CMM_COUNT (5) deaths per shape, CMM_LIMIT_MB (150). The last
// line is JSON: what was whole, what died otherwise than its twin, and the longest time from the limit to the death.
import { require as requireTs } from 'tsx/cjs/api'
import { sidecarOf, wayOfDying, withDeath, written } from './dying.mjs'
import { parameter } from './forking.mjs'
import { withDevTools } from './open-in-devtools.mjs'

const { instances } = requireTs('../../../e2e/monitor/profiles.ts', import.meta.url)

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
  /** Of these, by DevTools, and the longest time of one. */
  opened: 0,
  devToolsMs: 0,
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
  // The repository's own parser counts the class in each round. DevTools, which takes longer than the snapshot itself
  // did, opens the first of each shape on each Node.
  const isCounted = instances(snapshot, 'LeakedOrder') > 1000
  let isShown = isCounted
  if (round === 0) {
    const startedAtMs = Date.now()
    figures.opened++
    isShown &&= (await devTools.instances(snapshot, 'LeakedOrder').catch(report)) > 1000
    figures.devToolsMs = Math.max(figures.devToolsMs, Date.now() - startedAtMs)
  }
  if (isShown) figures.shown++
}

function report(error) {
  figures.missing.push(error.message)
  return 0
}
