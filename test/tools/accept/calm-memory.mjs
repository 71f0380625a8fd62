// RSS of a calm server over an hour, with the monitor at its default settings and without, in pairs that run at the same time.
// The slope counts from the tenth minute, when the young generation and the code have found their size. It may be smaller than that of
// the process without: the slopes of equal processes differ by 11 MB/h, because their heaps have grown to different sizes by then.
// CMM_MINUTES (60), CMM_PAIRS (3).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median, parameter } from './programs/forking.mjs'

const LARGEST_DIFFERENCE_MB_PER_H = 2
const PROGRAM = fileURLToPath(new URL('programs/calm-server.cjs', import.meta.url))
const minutes = parameter('CMM_MINUTES', 60)
const settledMs = Math.min(10, minutes / 3) * 60_000
const MIB = 1024 * 1024

const children = []
const directory = mkdtempSync(join(tmpdir(), 'accept-'))
const kinds = Array.from({ length: parameter('CMM_PAIRS', 3) }, () => ['watched', 'alone']).flat()
try {
  const runs = await Promise.all(kinds.map(async (kind) => ({ kind, ...(await watch(kind)) })))
  const of = (kind, name) => median(runs.filter((run) => run.kind === kind).map((run) => run[name]))
  const difference = of('watched', 'slope') - of('alone', 'slope')
  for (const { kind, slope, crest, mean } of runs)
    console.error(`${kind}: ${mb(slope)} MB/h, mean ${mb(mean)} MB, crest ${mb(crest)} MB`)
  console.log(
    `${minutes} min: ${mb(of('watched', 'slope'))} MB/h, ${mb(of('alone', 'slope'))} without; RSS ${mb(of('watched', 'mean'))} MB, ` +
      `crest ${mb(of('watched', 'crest'))} MB, without ${mb(of('alone', 'mean'))} and ${mb(of('alone', 'crest'))}`,
  )
  assert.ok(
    difference <= LARGEST_DIFFERENCE_MB_PER_H,
    `with the monitor it grows by ${mb(difference)} MB/h more`,
  )
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
}

function mb(value) {
  return value.toFixed(1)
}

/** Slope in MB/h by Theil and Sen, mean and crest in MB, of the settled time. */
async function watch(kind) {
  const child = spawn(process.execPath, [PROGRAM, kind, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const startedAtMs = performance.now()
  const points = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const atMs = performance.now() - startedAtMs
    if (atMs >= settledMs) points.push({ atMs, value: Number(line) / MIB })
  })
  children.push(child)
  const early = await Promise.race([closed, sleep(minutes * 60_000)])
  assert.equal(early, undefined, `${kind} ended by itself`)
  const slopes = points.flatMap((one, index) =>
    points.slice(index + 1).map((other) => ((other.value - one.value) / (other.atMs - one.atMs)) * 3_600_000),
  )
  const values = points.map(({ value }) => value)
  return {
    slope: median(slopes),
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    crest: Math.max(...values),
  }
}
