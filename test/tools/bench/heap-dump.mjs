// What a heap snapshot costs the application, by our ways and by the bare ones, interleaved, each in a fresh process: its
// pause, its peak memory beyond what it had, the time until the file is there, the worst latency of a request loop, and, in a
// process more, whether it survives under a memory limit. Prints a table per shape and size of heap; the ratios are against
// v8.writeHeapSnapshot.
//
//   npm run bench -- heap-dump [sizes in MB, default 50,200,800] [shapes, default all] [ways, default all] [rounds, default 1] [--json file]
//
// The packages are built first, if need be; a way whose package is not to be had is left out, and said. So is one in place
// for which the machine has no room: it could be the machine's other processes that the kernel kills.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { median, withCgroup, worstLatency } from '../accept/programs/forking.mjs'
import { testPackages } from '../accept/programs/test-packages.mjs'

const PROGRAM = fileURLToPath(new URL('heap-dump-case.cjs', import.meta.url))
/** Each with what a way in place needs of memory, as a multiple of the heap: what its rows show on the hungriest Node, and a little more. */
const NEED_FACTORS = { objects: 16, strings: 4, closures: 16, maps: 20, buffers: 4 }
const WAYS = ['fork', 'in place', 'v8', 'heapdump', 'v8-profiler-next']
const PACKAGES = ['heapdump', 'v8-profiler-next']
const MAX_CASE_MS = 15 * 60_000
/** A container as one would give to such a heap: room for it four times over, and for Node. */
const limitMbFor = (sizeMb) => 4 * sizeMb + 400

const list = (text, byDefault) => (text ? text.split(',') : byDefault)
const { positionals, values } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true })
const [sizes, shapes, ways, rounds = '1'] = positionals
/** What the tables show, for \`--json\`. */
const rows = []
const packages = testPackages()

const availableMb = () =>
  Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) / 1024

function whyNot(way, shape, sizeMb) {
  if (PACKAGES.includes(way) && !existsSync(join(packages, 'node_modules', way))) return 'not to be had'
  const needMb = way === 'fork' ? 2 * sizeMb : sizeMb * NEED_FACTORS[shape]
  return availableMb() < needMb ? `no room: needs about ${needMb} MB` : undefined
}

/** Starts a case, waits until its heap is full, and lets `follow` do with it what it likes. */
async function withCase({ way, shape, sizeMb, procs = '' }, follow) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'))
  const args = ['--max-old-space-size=16384', PROGRAM, shape, String(sizeMb), way, procs]
  const child = spawn(process.execPath, args, {
    cwd: directory,
    env: { ...process.env, CMM_TEST_PACKAGES: packages },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: MAX_CASE_MS,
    killSignal: 'SIGKILL',
  })
  const closed = once(child, 'close')
  const message = () =>
    Promise.race([
      once(child, 'message').then(([said]) => said),
      closed.then(([code, signal]) => ({ died: signal ?? `code ${code}` })),
    ])
  try {
    const { port, died } = await message()
    if (died) return { died }
    const dump = () => {
      child.send('dump')
      return message()
    }
    return await follow({ child, port, dump })
  } finally {
    child.kill('SIGKILL')
    await closed
    rmSync(directory, { recursive: true, force: true })
  }
}

function measure(wanted) {
  return withCase(wanted, async ({ child, port, dump }) => {
    const before = residentMb(child.pid)
    const { worstMs, result } = await worstLatency(port, dump)
    // VmHWM is the application's own peak: a forked child has its own.
    return { ...result, worstMs, extraMb: Math.max(0, residentMb(child.pid, 'VmHWM') - before) }
  })
}

/** Under a memory limit: the way by which it came through, or what became of it. */
async function survival(wanted) {
  const limitBytes = limitMbFor(wanted.sizeMb) * 1024 * 1024
  try {
    return await withCgroup(limitBytes, async (procs) => {
      const { died, ended, way } = await withCase({ ...wanted, procs }, ({ dump }) => dump())
      return died ? `killed: ${died}` : `yes: ${ended ? 'refused' : way}`
    })
  } catch (error) {
    return `not tried: ${error.message}`
  }
}

function residentMb(pid, field = 'VmRSS') {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? NaN) / 1024
}

const FIGURES = { pauseMs: 'pause ms', worstMs: 'worst latency ms', extraMb: 'extra MB', totalMs: 'total ms' }

function figuresOf(results) {
  const figures = Object.keys(FIGURES).map((name) => [name, median(results.map((result) => result[name]))])
  return { taken: results[0].way, ...Object.fromEntries(figures) }
}

function row(way, { leftOut, results, survives }, bare) {
  if (leftOut) return [way, leftOut]
  const failed = results.find(({ died, ended }) => died ?? ended)
  if (failed) return [way, `ended by ${failed.died ?? failed.ended}`]
  const cells = Object.keys(FIGURES).flatMap((figure) => {
    const value = median(results.map((result) => result[figure]))
    const base = bare && median(bare.map((result) => result[figure]))
    return [value.toFixed(value < 10 ? 1 : 0), base ? (value / base).toFixed(4) : '']
  })
  return [results[0].way === way ? way : `${way} (${results[0].way})`, ...cells, survives]
}

function print(title, table) {
  console.log(`\n${title}`)
  const widths = []
  for (const cells of table) {
    if (cells.length > 2) cells.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)))
  }
  for (const cells of table) {
    const [name, ...others] = cells
    const padded = others.map((cell, at) => (others.length > 1 ? cell.padStart(widths[at + 1]) : cell))
    console.log(`  ${name.padEnd(widths[0])}  ${padded.join('  ')}`)
  }
}

async function compare(shape, sizeMb) {
  const measured = new Map()
  for (let round = 0; round < Number(rounds); round++) {
    for (const way of list(ways, WAYS)) {
      const trial = measured.get(way) ?? { leftOut: whyNot(way, shape, sizeMb), results: [] }
      measured.set(way, trial)
      if (!trial.leftOut) trial.results.push(await measure({ way, shape, sizeMb }))
    }
  }
  for (const [way, trial] of measured) {
    if (!trial.leftOut) trial.survives = await survival({ way, shape, sizeMb })
  }
  for (const [way, { leftOut, results, survives }] of measured) {
    const failed = leftOut ?? results.find(({ died, ended }) => died ?? ended)
    rows.push({ sizeMb, shape, way, ...(failed ? { failed } : figuresOf(results)), survives })
  }
  const v8 = measured.get('v8')?.results ?? []
  const bare = v8.length > 0 && v8.every(({ totalMs }) => totalMs > 0) ? v8 : undefined
  const columns = Object.values(FIGURES).flatMap((figure) => [figure, bare ? 'ratio' : ''])
  print(`${sizeMb} MB of ${shape}`, [
    ['way', ...columns, `survives ${limitMbFor(sizeMb)} MB`],
    ...[...measured].map(([way, trial]) => row(way, trial, bare)),
  ])
}

console.log(`Node ${process.version}, ${Math.round(availableMb())} MB available, median of ${rounds} rounds`)
for (const size of list(sizes, ['50', '200', '800']).map(Number)) {
  for (const shape of list(shapes, Object.keys(NEED_FACTORS))) await compare(shape, size)
}
if (values.json) writeFileSync(values.json, `${JSON.stringify({ node: process.version, rows }, null, 2)}\n`)
