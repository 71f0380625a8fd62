import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const WATCHED = fileURLToPath(new URL('../../../e2e/thread/programs/watched.js', import.meta.url))

/** Runs `watched.js` in a directory of its own, lets `follow` do with it what it likes, and cleans up. */
export async function withWatched(options, [way, argument = 0], follow) {
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  const args = [WATCHED, JSON.stringify(options), way, String(argument)]
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const said = []
  createInterface(child.stdout).on('line', (line) =>
    said.push({ ...JSON.parse(line), atMs: performance.now() }),
  )
  const files = () => readdirSync(directory).filter((name) => /\.(cpuprofile|heapsnapshot)$/.test(name))
  const program = {
    child,
    files,
    path: (name) => join(directory, name),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    /** Waits for the n-th thing of that type that is said. */
    hears: (type, times = 1) =>
      until(() => said.filter((one) => one.type === type)[times - 1], `${times} × ${type}`),
    starts: () =>
      until(() => said.find(({ line }) => line?.includes('a thread of its own')), 'the start line'),
    leavesFile: () => until(() => files()[0], 'a file'),
  }
  try {
    return await follow(program)
  } finally {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await closed
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Share of the samples, 0 to 1, that were taken in a function or in what it called. */
export function shareIn(file, functionName) {
  const { nodes, samples } = JSON.parse(readFileSync(file, 'utf8'))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const inside = new Set()
  const enter = (id) => {
    inside.add(id)
    for (const child of byId.get(id).children ?? []) enter(child)
  }
  for (const { id, callFrame } of nodes) if (callFrame.functionName === functionName) enter(id)
  return samples.filter((id) => inside.has(id)).length / samples.length
}

async function until(find, what) {
  const givesUpAtMs = performance.now() + 60_000
  for (;;) {
    const found = find()
    if (found !== undefined) return found
    if (performance.now() > givesUpAtMs) throw new Error(`did not come: ${what}`)
    await new Promise((tick) => setTimeout(tick, 20))
  }
}
