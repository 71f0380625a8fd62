// What the monitor adds to the start of a process, by code and by register: npm run bench -- startup [rounds] [node …]
//
// Each round starts one process of each kind, so that a change of the machine's load meets all of them. One program is empty,
// the other returns to the event loop for 200 ms, which is when most of the monitor starts. The wall time of a process is from
// its spawn to its end; that of the call is measured around require and call, in the process, with the CPU that the main thread
// used for it (Linux), which depends less on what else the machine does.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../../../dist', import.meta.url))
const [rounds = '21', ...nodes] = process.argv.slice(2)
const directory = mkdtempSync(join(tmpdir(), 'bench-startup-'))

const options = {
  cpu: { threshold: '90%', counter: 3 },
  memory: { threshold: '85%', counter: 3 },
  profileDir: directory,
}
const PROGRAMS = {
  'an empty program': write('empty-program.js', ''),
  'a program of 200 ms': write('program.js', 'setTimeout(() => undefined, 200)'),
}
const around = (work) => `const { readFileSync, writeSync } = require('node:fs')
const cpuNs = () => process.platform === 'linux' ? Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) : NaN
const [beganAt, cpuBefore] = [process.hrtime.bigint(), cpuNs()]
${work}
const [wall, cpu] = [Number(process.hrtime.bigint() - beganAt) / 1e6, (cpuNs() - cpuBefore) / 1e6]
writeSync(1, JSON.stringify({ wall, cpu }))`
const CASES = {
  empty: write('empty.js', ''),
  'by register': write('register.js', around(`require(${JSON.stringify(join(dist, 'register.js'))})`)),
  'by code': write(
    'code.js',
    around(`require(${JSON.stringify(dist)})({ ...${JSON.stringify(options)}, logger: false })`),
  ),
}

try {
  console.log(
    `load ${loadavg()[0].toFixed(1)} on ${availableParallelism()} processors, ${rounds} rounds, medians, ms`,
  )
  for (const node of nodes.length > 0 ? nodes : [process.execPath])
    for (const [name, program] of Object.entries(PROGRAMS)) measure(resolve(node), name, program)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

function measure(node, what, program) {
  const walls = Object.fromEntries(Object.keys(CASES).map((name) => [name, []]))
  const calls = Object.fromEntries(Object.keys(CASES).map((name) => [name, []]))
  for (let round = 0; round < Number(rounds); round++) {
    for (const [name, preload] of Object.entries(CASES)) {
      const beganAt = process.hrtime.bigint()
      const { status, stdout } = spawnSync(node, ['--require', preload, program], {
        cwd: directory,
        env: { ...process.env, NODE_OPTIONS: '', CMM_PROFILE_DIR: directory },
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      walls[name].push(Number(process.hrtime.bigint() - beganAt) / 1e6)
      if (status !== 0) throw new Error(`${name} ended with ${status}`)
      calls[name].push(stdout.length > 0 ? JSON.parse(stdout) : {})
    }
  }
  const { stdout } = spawnSync(node, ['--version'])
  const empty = median(walls.empty)
  console.log(`${String(stdout).trim()}, ${what}:`)
  for (const name of Object.keys(CASES)) {
    const wall = median(walls[name])
    const [callWall, callCpu] = ['wall', 'cpu'].map((clock) => median(calls[name].map((call) => call[clock])))
    const more =
      name === 'empty'
        ? ''
        : `, ${round1(wall - empty)} more; call ${round1(callWall)}, CPU of the main thread ${round1(callCpu)}`
    console.log(`  ${name}: process ${round1(wall)}${more}`)
  }
}

function write(name, text) {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

function median(values) {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]
}

function round1(value) {
  return Math.round(value * 10) / 10
}
