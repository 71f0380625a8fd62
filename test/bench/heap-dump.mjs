// What a heap snapshot costs the application, by our ways and by the bare ones, interleaved, each in a fresh process: its
// pause, its peak memory beyond what it had, the time until the file is there, and the worst latency of a request loop. Prints
// a table per shape and size of heap; the ratios are against v8.writeHeapSnapshot.
//
//   npm run build && npm run bench -- heap-dump [sizes in MB, default 50,200,800] [shapes, default all] [ways, default all] [rounds, default 1]
//
// The packages are looked for where CMM_TEST_PACKAGES says; what is not built there is left out, and said. The machine needs
// about 12 times the heap in free memory for the ways in place; what has no room is left out, and said.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('heap-dump-case.cjs', import.meta.url))
const SHAPES = ['objects', 'strings', 'closures', 'maps', 'buffers']
const WAYS = ['fork', 'in place', 'v8', 'heapdump', 'v8-profiler-next']
const PACKAGES = ['heapdump', 'v8-profiler-next']
/** What ways in place need, as a multiple of the heap. Buffers and large strings need less. */
const NEED_FACTOR = 14
const MAX_CASE_MS = 15 * 60_000

const list = (text, byDefault) => (text ? text.split(',') : byDefault)
const [sizes, shapes, ways, rounds = '1'] = process.argv.slice(2)

const availableMb = () =>
  Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) / 1024
const isInstalled = (name) =>
  existsSync(join(process.env.CMM_TEST_PACKAGES ?? '/nowhere', 'node_modules', name))

function whyNot(way, sizeMb) {
  if (PACKAGES.includes(way) && !isInstalled(way)) return 'not installed (CMM_TEST_PACKAGES)'
  const needMb = sizeMb * NEED_FACTOR
  return availableMb() < needMb ? `no room: needs about ${needMb} MB` : undefined
}

async function measure(way, shape, sizeMb) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'))
  const child = spawn(process.execPath, ['--max-old-space-size=16384', PROGRAM, shape, String(sizeMb), way], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    timeout: MAX_CASE_MS,
    killSignal: 'SIGKILL',
  })
  const closed = once(child, 'close')
  const message = () =>
    Promise.race([
      once(child, 'message').then(([text]) => text),
      closed.then(([code, signal]) => ({ ended: signal ?? `code ${code}` })),
    ])
  try {
    const { port, ended } = await message()
    if (ended) return { ended }
    const before = residentMb(child.pid)
    child.send('dump')
    const { worstMs, result } = await worstLatency(port, message())
    // VmHWM is the application's own peak: a forked child has its own.
    return { ...result, worstMs, extraMb: Math.max(0, residentMb(child.pid, 'VmHWM') - before) }
  } finally {
    child.kill('SIGKILL')
    await closed
    rmSync(directory, { recursive: true, force: true })
  }
}

function residentMb(pid, field = 'VmRSS') {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? NaN) / 1024
}

async function worstLatency(port, work) {
  let isOver = false
  const working = work.finally(() => (isOver = true))
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let worstMs = 0
  while (!isOver) {
    const startedAtMs = performance.now()
    await new Promise((done) => {
      http
        .get({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', done))
        .on('error', done)
    })
    worstMs = Math.max(worstMs, performance.now() - startedAtMs)
    await new Promise((done) => setTimeout(done, 1))
  }
  agent.destroy()
  return { worstMs, result: await working }
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
const FIGURES = { pauseMs: 'pause ms', worstMs: 'worst latency ms', extraMb: 'extra MB', totalMs: 'total ms' }

function row(way, results, bare) {
  const said = results.find(({ ended, leftOut }) => ended ?? leftOut)
  if (said) return [way, said.leftOut ?? `ended by ${said.ended}`]
  const cells = Object.keys(FIGURES).flatMap((figure) => {
    const value = median(results.map((result) => result[figure]))
    const base = bare && median(bare.map((result) => result[figure]))
    return [value.toFixed(value < 10 ? 1 : 0), base ? (value / base).toFixed(4) : '']
  })
  return [results[0].way === way ? way : `${way} (${results[0].way})`, ...cells]
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

console.log(`Node ${process.version}, ${Math.round(availableMb())} MB available, median of ${rounds} rounds`)
for (const size of list(sizes, ['50', '200', '800']).map(Number)) {
  for (const shape of list(shapes, SHAPES)) {
    const results = new Map(list(ways, WAYS).map((way) => [way, []]))
    for (let round = 0; round < Number(rounds); round++) {
      for (const [way, measured] of results) {
        const leftOut = whyNot(way, size)
        measured.push(leftOut ? { leftOut } : await measure(way, shape, size))
      }
    }
    const v8 = results.get('v8')
    const bare = v8?.every(({ totalMs }) => totalMs > 0) ? v8 : undefined
    const head = ['way', ...Object.values(FIGURES).flatMap((figure) => [figure, bare ? 'ratio' : ''])]
    print(`${size} MB of ${shape}`, [
      head,
      ...[...results].map(([way, measured]) => row(way, measured, bare)),
    ])
  }
}
