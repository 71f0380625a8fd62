// What an in-place heap snapshot needs beyond what the process has already: the numbers behind src/capture/room.ts.
//
//   node test/tools/bench/snapshot-need.mjs [heap MB, default 60]
//
// Run it with each Node to be calibrated. One process per shape of heap; one line per process:
// factors of the heap in use at the call.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'

const SHAPES = [
  'small-objects',
  'tiny-arrays',
  'closures',
  'maps',
  'mid-strings',
  'large-strings',
  'large-arrays',
  'buffers',
]
const KIB = 1024
const MIB = KIB * KIB
const self = fileURLToPath(import.meta.url)

if (process.argv[2] === 'child') measure(process.argv[3], Number(process.argv[4]) * MIB)
else compare(Number(process.argv[2] ?? 60))

function compare(heapMb) {
  console.log(`Node ${process.version}, heaps of ${heapMb} MB`)
  console.log('shape           used MB  large MB  extra MB  extra/used  file/used   seconds')
  for (const shape of SHAPES) {
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--max-old-space-size=4096', self, 'child', shape, heapMb],
      {
        encoding: 'utf8',
        timeout: 180_000,
      },
    )
    process.stdout.write(status === 0 ? stdout : `${shape}: failed\n${stderr}`)
  }
}

function measure(shape, bytes) {
  const kept = []
  const full = () =>
    (shape === 'buffers' ? kept.length * 200 : v8.getHeapStatistics().used_heap_size) >= bytes
  while (!full()) grow(shape, kept)
  const directory = mkdtempSync(join(tmpdir(), 'snapshot-need-'))
  try {
    const used = v8.getHeapStatistics().used_heap_size
    const large = v8
      .getHeapSpaceStatistics()
      .find((space) => space.space_name === 'large_object_space').space_used_size
    const before = forgetPeak()
    const startedAt = performance.now()
    const file = v8.writeHeapSnapshot(join(directory, 'a.heapsnapshot'))
    const seconds = (performance.now() - startedAt) / 1000
    const extra = status('VmHWM') - before
    const mb = (n) => (n / MIB).toFixed(0)
    const cells = [
      mb(used),
      mb(large),
      mb(extra),
      (extra / used).toFixed(1),
      (statSync(file).size / used).toFixed(2),
      seconds.toFixed(1),
    ]
    const widths = [9, 10, 10, 12, 11, 10]
    console.log(shape.padEnd(14) + cells.map((cell, i) => cell.padStart(widths[i])).join(''))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  if (kept.length === 0) throw new Error('the heap was not kept')
}

function grow(shape, kept) {
  const n = kept.length
  switch (shape) {
    case 'small-objects':
      for (let i = 0; i < 1000; i++) kept.push({ id: n + i, next: null })
      return
    case 'tiny-arrays':
      for (let i = 0; i < 1000; i++) kept.push([n, {}, {}])
      return
    case 'closures':
      for (let i = 0; i < 1000; i++)
        kept.push(
          (
            (a) => () =>
              a + i
          )(n),
        )
      return
    case 'maps': {
      const map = new Map()
      for (let i = 0; i < 1000; i++) map.set(`key ${n} ${i}`, { i })
      kept.push(map)
      return
    }
    case 'mid-strings':
      for (let i = 0; i < 1000; i++) kept.push(Buffer.alloc(2000, `${n + i} `).toString('latin1'))
      return
    case 'large-strings':
      kept.push(Buffer.alloc(256 * KIB, `${n} `).toString('latin1'))
      return
    case 'large-arrays':
      kept.push(new Array(131072).fill(kept))
      return
    case 'buffers':
      for (let i = 0; i < 1000; i++) kept.push(Buffer.alloc(KIB, i))
      return
    default:
      throw new Error(`no such shape: ${shape}`)
  }
}

/** Resets the kernel's mark of the peak, and gives what is resident now. */
function forgetPeak() {
  writeFileSync('/proc/self/clear_refs', '5')
  return status('VmRSS')
}

function status(field) {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))[1]) * KIB
}
