// What must hold, whatever happened.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Descriptors and threads that Node.js may have opened once more for itself. */
const TOLERATED = 2
/** Heap that compiled code and caches of Node.js take, MB. */
const TOLERATED_HEAP_MB = 15

const ARTEFACT = /\.(cpuprofile|heapprofile|heapsnapshot)$/

/** @returns What is wrong with the files of a directory, in words: each under a final name is whole, and has its `.json`. */
export function judgeFiles(directory) {
  let names
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  return names
    .filter((name) => ARTEFACT.test(name))
    .flatMap((name) => {
      try {
        JSON.parse(readFileSync(join(directory, name), 'utf8'))
        JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'))
        return []
      } catch (error) {
        return [`${name} is not whole: ${error.message}`]
      }
    })
}

/** @returns What the host said that it must not say. */
export function judgeSayings({ said, lives }) {
  const wrong = said.filter(({ type }) => type === 'violation').map(({ text }) => text)
  const dumps = said.filter(({ type, rule }) => type === 'dump' && rule !== 'manual')
  for (const [at, { cpuBudget, memoryBudget, threadsEnded }] of lives.entries()) {
    const ofLife = dumps.filter(({ life }) => life === at + 1)
    // The main thread begins with a budget of its own when the thread has ended.
    const shares = 1 + threadsEnded
    const made = (kind, isNamed) =>
      ofLife.filter((dump) => dump.kind === kind && (dump.rule === 'loads') === isNamed).length
    if (made('cpu', false) > cpuBudget * shares)
      wrong.push(`life ${at + 1}: more CPU dumps than ${cpuBudget}`)
    if (made('cpu', true) > cpuBudget * shares)
      wrong.push(`life ${at + 1}: more dumps of its rule than ${cpuBudget}`)
    if (made('memory', false) > memoryBudget * shares)
      wrong.push(`life ${at + 1}: more memory dumps than ${memoryBudget}`)
  }
  return wrong
}

/** @returns What the host holds after its monitor was stopped, and did not hold before. */
export function judgeResources(before, after) {
  const wrong = []
  for (const name of ['descriptors', 'threads', 'resources'])
    if (after[name] > before[name] + TOLERATED)
      wrong.push(`${name}: ${before[name]} before, ${after[name]} after`)
  if (after.heapMb > before.heapMb + TOLERATED_HEAP_MB)
    wrong.push(`heap: ${before.heapMb} MB before, ${after.heapMb} MB after`)
  if (String(after.listeners) !== String(before.listeners))
    wrong.push(`listeners: ${before.listeners} before, ${after.listeners} after`)
  return wrong
}
