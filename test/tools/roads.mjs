// Counts the files that a reader opens on each of the four roads through the code, types and messages included:
//
//   node test/tools/roads.mjs
//
// The lists are kept by hand; a file that is gone, or a road longer than it may be, is an error.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const src = join(dirname(fileURLToPath(import.meta.url)), '../../src')

const ROADS = [
  {
    name: "cpu.threshold '80%' to the verdict, on the watchdog thread",
    most: 15,
    files: {
      '': 'index',
      monitor: 'options monitor',
      'monitor/start': 'later start',
      options: 'read',
      system: 'limits usage',
      thread: 'watchdog watchdog-thread',
      watch: 'watch',
      base: 'time',
      dispatch: 'dispatcher gate threshold-rule',
    },
  },
  {
    name: 'a memory reading to the finished snapshot of a forked child, on the watchdog thread',
    most: 45,
    files: {
      watch: 'watch directories',
      base: 'time globals',
      system: 'usage proc',
      dispatch: 'dispatcher gate threshold-rule budget dump-once events',
      capture: 'capture room room-probe memory-room',
      'capture/main-thread': 'orders carry-out patient',
      'capture/heap': 'ladder rung sampling sampler',
      'capture/heap/fork': 'rung job await-child child-limits verdict helper',
      files: 'names expiry directory artefact partial final-name disk sidecar retention',
      thread: 'over-inspector exit-wait watchdog watchdog-thread',
      monitor: 'voice',
      report: 'lines listeners',
    },
  },
  {
    name: 'a worker over its limit to its exit',
    most: 20,
    files: {
      base: 'time',
      cluster: 'memory-check worker messages primary report handle',
      'cluster/plan': 'reconciler roster candidate replacement slot events',
      'cluster/drain': 'drain servers last-response connections addresses',
      report: 'listeners',
    },
  },
  {
    name: 'stop(), with the watchdog thread',
    most: 20,
    files: {
      monitor: 'monitor',
      'monitor/start': 'later start signal',
      base: 'stop-list',
      dispatch: 'arm-heap-limit dispatcher gate',
      leak: 'watch sentinel',
      thread: 'watchdog watchdog-thread blocked-loop beats over-inspector',
      watch: 'watch',
      'capture/heap': 'ladder sampling',
      'capture/main-thread': 'carry-out patient',
    },
  },
]

for (const { name, most, files } of ROADS) {
  const all = Object.entries(files).flatMap(([room, names]) =>
    names.split(' ').map((file) => (room === '' ? file : `${room}/${file}`)),
  )
  const gone = all.filter((file) => !existsSync(join(src, `${file}.ts`)))
  const isLong = all.length > most
  if (gone.length > 0 || isLong) process.exitCode = 1
  console.log(
    `${String(all.length).padStart(3)} files, at most ${most}${isLong ? ' (TOO LONG)' : ''}: ${name}`,
  )
  if (gone.length > 0) console.log(`    gone: ${gone.join(', ')}`)
}
