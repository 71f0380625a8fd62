// How long the process stands still when the leak alarm reads the allocation sites: V8 forces a full collection for it. One
// process per size and shape of heap, all of it alive. Prints ms: the least (on a loaded machine the best estimate), the median
// and the most of the readings, and the median of what turning a profile into sites adds.
import { spawnSync } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { getHeapStatistics } from 'node:v8'
import capture from '../../../../dist/capture/heap/allocation-sites.js'
import samplers from '../../../../dist/capture/heap/sampler.js'
import sessions from '../../../../dist/capture/main-thread/local-session.js'

const SIZES_MB = [100, 200, 400]
/** Objects of about 150 bytes with a string and an array each, and arrays of 8 KB. */
const SHAPES = {
  'small-objects': (at) => ({ at, text: `text ${at}`, list: [at] }),
  'large-arrays': (at) => new Array(1000).fill(at),
}
const READINGS = 15
const MIB = 1024 * 1024
const self = fileURLToPath(import.meta.url)

if (process.argv[2] === 'child') measure(process.argv[3], Number(process.argv[4]))

/** Prints one line per heap. */
export function lookAtPauses() {
  console.log(`Node ${process.version}`)
  console.log('shape           heap MB  samples  least ms  median ms  most ms  sites ms')
  for (const shape of Object.keys(SHAPES)) {
    for (const size of SIZES_MB) {
      const child = spawnSync(process.execPath, ['--expose-gc', self, 'child', shape, size], {
        encoding: 'utf8',
        timeout: 120_000,
      })
      process.stdout.write(child.status === 0 ? child.stdout : `${shape}: failed\n${child.stderr}`)
    }
  }
}

function measure(shape, megabytes) {
  const sampler = samplers.createHeapSampler(sessions.openLocalSession)
  sampler.start(samplers.SAMPLING_INTERVAL_BYTES)
  const kept = []
  while (getHeapStatistics().used_heap_size < megabytes * MIB)
    for (let at = 0; at < 1000; at++) kept.push(SHAPES[shape](at))
  globalThis.gc()
  const pauses = []
  const conversions = []
  let samples = 0
  for (let reading = 0; reading < READINGS; reading++) {
    const startedMs = performance.now()
    const profile = sampler.profile()
    const readMs = performance.now()
    capture.holdingsOf(profile)
    pauses.push(readMs - startedMs)
    conversions.push(performance.now() - readMs)
    samples = profile.samples.length
  }
  const [sorted, converted] = [pauses, conversions].map((times) => times.sort((a, b) => a - b))
  const middle = Math.floor(READINGS / 2)
  const figures = [sorted[0], sorted[middle], sorted.at(-1), converted[middle]].map((ms) => ms.toFixed(1))
  const usedMb = Math.round(getHeapStatistics().used_heap_size / MIB)
  const cells = [usedMb, samples, ...figures].map((cell, at) => String(cell).padStart([7, 7, 8, 9, 7, 8][at]))
  console.log(`${shape.padEnd(14)}  ${cells.join('  ')}`)
  sampler.stop()
  if (kept.length === 0) throw new Error('nothing was kept')
}
