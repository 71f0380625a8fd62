import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('forking-program.cjs', import.meta.url))

/** A number of the environment, so that an item can be run in short form. */
export const parameter = (name, byDefault) => Number(process.env[name] ?? byDefault)

/**
 * Starts the program, waits until its heap is full, and lets `follow` do with it what it likes. Its directory and the program
 * are gone afterwards.
 */
export async function withForking({ heapMb, procs = '', env = process.env }, follow) {
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  const child = spawn(process.execPath, ['--max-old-space-size=8192', PROGRAM, String(heapMb), procs], {
    cwd: directory,
    env,
    stdio: ['ignore', 'inherit', 'ignore', 'ipc'],
  })
  const closed = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  const answer = () =>
    Promise.race([
      once(child, 'message').then(([message]) => message),
      closed.then(({ signal, code }) => ({ killed: signal ?? `code ${code}` })),
    ])
  try {
    const ready = await answer()
    if (ready.killed) throw new Error(`the program ended before it was ready: ${ready.killed}`)
    const dump = (way) => {
      child.send(way)
      return answer()
    }
    return await follow({ child, directory, ...ready, dump })
  } finally {
    child.kill('SIGKILL')
    await closed
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Sends one request after the other until `work` has ended, and gives the longest that one took, ms. */
export async function worstLatency(port, work) {
  let isOver = false
  const working = work().finally(() => (isOver = true))
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let worstMs = 0
  while (!isOver) {
    const startedAtMs = performance.now()
    await new Promise((resolve, reject) => {
      http
        .get({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', resolve))
        .on('error', reject)
    })
    worstMs = Math.max(worstMs, performance.now() - startedAtMs)
    await sleep(1)
  }
  agent.destroy()
  return { worstMs, result: await working }
}

let groups = 0

/** Runs `follow` with a memory cgroup of that limit, v1 or v2; throws where none can be made. */
export async function withCgroup(limitBytes, follow) {
  const kinds = [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ]
  const kind = kinds.find(([mount]) => existsSync(join(mount, 'cgroup.procs')))
  if (!kind) throw new Error('no cgroup file system is mounted')
  const group = join(kind[0], `cmm-accept-${process.pid}-${++groups}`)
  mkdirSync(group)
  try {
    writeFileSync(join(group, kind[1]), String(limitBytes))
    return await follow(join(group, 'cgroup.procs'))
  } finally {
    for (
      let attempt = 0;
      attempt < 250 && readFileSync(join(group, 'cgroup.procs'), 'utf8') !== '';
      attempt++
    )
      await sleep(20)
    rmdirSync(group)
  }
}

export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
