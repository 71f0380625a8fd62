import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { require as requireTs } from 'tsx/cjs/api'

const { limitedTo } = requireTs('../../../e2e/monitor/memory-cgroup.ts', import.meta.url)

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
    await new Promise((resolve) => {
      http
        .get({ port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', resolve))
        // After a long pause the server's timer ends the connection under the request: what it took so far counts.
        .on('error', resolve)
    })
    worstMs = Math.max(worstMs, performance.now() - startedAtMs)
    await sleep(1)
  }
  agent.destroy()
  return { worstMs, result: await working }
}

/** Runs `follow` with a memory cgroup of that limit, v1 or v2; throws where none can be made. */
export async function withCgroup(limitBytes, follow) {
  const undo = []
  try {
    const group = limitedTo({ after: (each) => undo.push(each) }, limitBytes)
    if ('reason' in group) throw new Error(group.reason)
    return await follow(group.procs)
  } finally {
    for (const each of undo) await each()
  }
}

export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
