// Runs a hot and a leaking task in each pool on the Node that runs this: node pools-here.mjs <directory of the pools>. The last line
// is JSON.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const [pools] = process.argv.slice(2)
const repository = fileURLToPath(new URL('../../../..', import.meta.url))
const PATIENCE_MS = 180_000
const rows = {
  hot: {
    options: { cpu: { interval: 500, duration: 1000, threshold: 30, counter: 3, limiter: [1, 'hour'] } },
    named: 'resizeImage',
  },
  leaking: {
    options: { memory: { interval: 250, threshold: '280mb', limiter: [1, 'hour'], heapLimit: false } },
    named: 'CachedPage',
  },
}

/** Resolves with what is wrong; `undefined` when nothing is. */
async function look(pool, task) {
  const { options, named } = rows[task]
  const directory = mkdtempSync(join(tmpdir(), 'pool-'))
  const args = [join(pools, 'pool-program.mjs'), pool, task, repository]
  const child = spawn(process.execPath, [...args, JSON.stringify({ ...options, signal: false })], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const others = []
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { event, file, files, ...more } = JSON.parse(line)
      if (event !== 'dump') {
        others.push(`${event}: ${more.message ?? JSON.stringify(more)}`)
        continue
      }
      if (!/-worker-\d+\.(cpuprofile|heapsnapshot)$/.test(file)) return `the main file is ${files.join(', ')}`
      return readFileSync(file, 'latin1').includes(`"${named}"`) ? undefined : `no ${named} in ${file}`
    }
    return `there is no dump (${others.join(', ')})`
  } finally {
    clearTimeout(patience)
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}

const wrong = []
let all = 0
for (const pool of ['piscina', 'tinypool'])
  for (const task of Object.keys(rows)) {
    all++
    const complaint = await look(pool, task)
    if (complaint !== undefined) wrong.push(`${pool}, ${task}: ${complaint}`)
  }
const figure = { node: process.version, right: all - wrong.length, all, wrong }
console.log(JSON.stringify(figure).replaceAll('; ', ', '))
