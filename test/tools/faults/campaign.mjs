// One campaign: a fresh host, the faults of a seed, the invariants.
import { setTimeout as pause } from 'node:timers/promises'
import { FAULTS } from './faults.mjs'
import { whyNot, withHost } from './host.mjs'
import { judgeFiles, judgeResources, judgeSayings } from './invariants.mjs'
import { planOf } from './plan.mjs'

const FIRST = { cpuBudget: 3, memoryBudget: 2, heapLimit: true }
/** Longest time for the host to come to rest after the last fault, ms. */
const REST_MS = 60_000

/** @returns What was wrong, in words, and what happened. */
export function campaign(seed, seconds) {
  return withHost(async (host) => {
    const wrong = []
    const { steps, diesAtHeapLimit } = planOf(seed, seconds)
    const possible = steps.filter(({ name }) => whyNot[FAULTS[name].needs] === undefined)
    try {
      const before = await warmUp(host)
      await host.start(FIRST)
      await run(host, possible)
      if (diesAtHeapLimit) wrong.push(...(await die(host)))
      else {
        await host.order('stop')
        wrong.push(...judgeResources(before, await atRest(host, before)))
      }
    } catch (error) {
      wrong.push(error.message)
      // Its last words come before its exit.
      if (host.hasEnded) wrong.push(`the host ended with ${JSON.stringify(await host.ended)}`, host.stderr)
    }
    if (!diesAtHeapLimit && host.stderr !== '') wrong.push(`it printed: ${host.stderr}`)
    wrong.push(...judgeFiles(host.directory), ...judgeSayings(host))
    const count = (type) => host.said.filter((saying) => saying.type === type).length
    return {
      wrong,
      faults: possible.length,
      dumps: count('dump'),
      skips: count('skip'),
      failures: count('failure'),
      said: host.said,
    }
  })
}

/** What Node.js opens once and keeps is there before the count: its pool, the inspector, compiled code. */
async function warmUp(host) {
  await host.start(FIRST)
  await host.order('dump', { kind: 'cpu' })
  await host.order('dump', { kind: 'memory' })
  await host.order('hotWorker', { ms: 200 })
  await pause(400)
  await host.order('stop')
  return host.order('resources')
}

async function run(host, steps) {
  const ends = new Set()
  let isShortOfMemory = false
  for (const { name, parameters, gapMs } of steps) {
    if (host.hasEnded) throw new Error(`the host ended before ${name}`)
    if (isShortOfMemory && FAULTS[name].takesMemory) continue
    host.said.push({ type: 'fault', name, parameters })
    const end = await FAULTS[name].begin(host, parameters, name)
    if (typeof end === 'function') {
      if (name === 'lessMemory') isShortOfMemory = true
      const ending = pause(parameters.ms).then(() => {
        end()
        if (name === 'lessMemory') isShortOfMemory = false
        ends.delete(ending)
      })
      ends.add(ending)
      // A stopped process answers nothing.
      if (name === 'freeze') await ending
    }
    await pause(gapMs)
    if (!host.hasEnded) await host.serves()
  }
  await Promise.all(ends)
  await host.serves()
}

async function die(host) {
  host.order('overHeapLimit').catch(() => undefined)
  const { code, signal } = await host.ended
  const wrong = []
  // bash passes on neither: the process has taken its place.
  if (signal !== 'SIGABRT' && code !== 134) wrong.push(`it died of ${signal ?? code}, not of the heap limit`)
  if (!/FATAL ERROR: .*heap/i.test(host.stderr)) wrong.push(`V8 did not say why it died: ${host.stderr}`)
  return wrong
}

/** What the faults brought in is gone by itself; the last of it takes a while. */
async function atRest(host, before) {
  const givesUpAtMs = performance.now() + REST_MS
  for (;;) {
    const now = await host.order('resources')
    const isAtRest = now.loads === 0 && judgeResources(before, now).length === 0
    if (isAtRest || performance.now() > givesUpAtMs) return now
    await pause(250)
  }
}
