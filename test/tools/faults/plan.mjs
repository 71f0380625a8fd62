// The sequence of faults that a seed stands for: the same on each machine, so that a failure can be replayed.
import { FAULTS } from './faults.mjs'

/** Longest time between two faults, ms. */
const LONGEST_GAP_MS = 1200
/** Of so many seeds one ends at the heap limit. */
const ONE_OF_SEEDS_DIES = 3

/** A generator of numbers from 0 to below 1: 32 bits of a counter, mixed (the finalizer of MurmurHash3). */
function numbersOf(seed) {
  let counter = seed * 7919
  return () => {
    counter = (counter + 0x9e3779b9) >>> 0
    let mixed = counter
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
  }
}

/** @returns The faults in order, each with its parameters and the time to the next, and how the host ends. */
export function planOf(seed, seconds) {
  const random = numbersOf(seed)
  const between = (least, most) => least + Math.floor(random() * (most - least + 1))
  const pick = (list) => list[between(0, list.length - 1)]
  const steps = []
  for (let ms = 0; ms < seconds * 1000;) {
    const name = pick(Object.keys(FAULTS))
    const parameters = FAULTS[name].parameters({ between, pick })
    const gapMs = between(0, LONGEST_GAP_MS)
    steps.push({ name, parameters, gapMs })
    ms += gapMs + 300
  }
  return { steps, diesAtHeapLimit: seed % ONE_OF_SEEDS_DIES === 0 }
}
