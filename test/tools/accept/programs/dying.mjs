import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAMS = fileURLToPath(new URL('../../../e2e/heap-limit/programs/', import.meta.url))
/** The longest that a child may take for its snapshot here, ms. */
const WRITTEN_WITHIN_MS = 300_000
/** Arguments of program.js: it fills its heap when the watch has begun, however busy the machine is. */
const AFTER_A_SECOND = ['1000']

/**
 * Runs a program that fills its heap up to the limit, in a directory of its own, and lets `follow` look at what it left. The
 * directory is gone afterwards.
 */
export async function withDeath(
  {
    shape = 'burst',
    options,
    limitMb = 150,
    execArgv = [],
    env = {},
    program = 'program.js',
    args = program === 'program.js' ? AFTER_A_SECOND : [],
    directory,
  },
  follow,
) {
  const own = directory ?? mkdtempSync(join(tmpdir(), 'accept-'))
  const argv = [`--max-old-space-size=${limitMb}`, ...execArgv, join(PROGRAMS, program), shape]
  const startedAtMs = Date.now()
  const child = spawn(process.execPath, [...argv, options ? JSON.stringify(options) : 'none', ...args], {
    cwd: own,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (output.stdout += chunk))
  child.stderr.on('data', (chunk) => (output.stderr += chunk))
  let peakBytes = 0
  const timer = setInterval(() => (peakBytes = Math.max(peakBytes, peakOf(child.pid))), 20)
  const { code, signal } = await new Promise((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal })),
  )
  clearInterval(timer)
  const diedAtMs = Date.now()
  try {
    return await follow({
      ...output,
      code,
      signal,
      pid: child.pid,
      directory: own,
      startedAtMs,
      diedAtMs,
      peakBytes,
    })
  } finally {
    if (directory === undefined) rmSync(own, { recursive: true, force: true })
  }
}

/** How a process died, less what differs from run to run: numbers, addresses, and which of its three errors V8 reported. */
export function wayOfDying({ code, signal, stderr }) {
  const lines = stderr.split('\n').filter((line) => /^(<---|-----|FATAL ERROR)/.test(line))
  const same = (line) =>
    line.replace(
      /Reached heap limit|Ineffective mark-compacts near heap limit|CALL_AND_RETRY_LAST/,
      'The limit',
    )
  return JSON.stringify([code, signal, ...lines.map(same)])
}

/** The files of a dump at the heap limit, once no child works on them any more. One that was killed leaves a `.partial`. */
export async function written({ directory }, withinMs = WRITTEN_WITHIN_MS) {
  const until = Date.now() + withinMs
  while (isChildAlive(directory) && Date.now() < until) await sleep(100)
  const names = readdirSync(directory).filter((name) => name.startsWith('heap-limit-'))
  const file = (extension) => {
    const name = names.find((each) => each.endsWith(extension))
    return name && join(directory, name)
  }
  return { profile: file('.heapprofile'), snapshot: file('.heapsnapshot') }
}

export const sidecarOf = (file) => JSON.parse(readFileSync(`${file}.json`, 'utf8'))

/** A child has the working directory of the process that it was forked from. */
function isChildAlive(directory) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        const isChild = readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('heap-snapshot')
        return isChild && readlinkSync(`/proc/${pid}/cwd`) === directory
      } catch {
        return false
      }
    })
}

/** The most that was resident so far. */
function peakOf(pid) {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
