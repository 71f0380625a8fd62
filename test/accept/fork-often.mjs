// Forks under allocation load, busy workers, thread pool and inspector, on each Node of CMM_NODES: at least 99 % whole files
// after retries, every parent unharmed. CMM_COUNT (200) forks per Node, CMM_HEAP_MB (20).
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { nodes, parameter } from './programs/forking.mjs'

const PROGRAM = fileURLToPath(new URL('../fixtures/native/forked-under-load.js', import.meta.url))
const [count, heapMb] = [parameter('CMM_COUNT', 200), parameter('CMM_HEAP_MB', 20)]

async function forkOften(node) {
  const directory = mkdtempSync(join(tmpdir(), 'accept-'))
  try {
    const args = [PROGRAM, directory, String(count), String(heapMb)]
    const child = spawn(node, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const rounds = []
    createInterface(child.stdout).on('line', (line) => rounds.push(JSON.parse(line)))
    const [code] = await once(child, 'close')
    const tries = rounds.flatMap((round) => round.tries)
    return {
      whole: rounds.filter(({ whole }) => whole).length,
      retries: tries.length - rounds.length,
      unharmed: code === 0 && rounds.length === count && tries.every(({ served }) => served === 'served'),
      forkMs: Math.max(...tries.map(({ forkMs }) => forkMs)).toFixed(1),
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const version = (node) => execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()

const figures = []
const failed = []
for (const node of nodes()) {
  const { whole, retries, unharmed, forkMs } = await forkOften(node)
  const figure = `${version(node)}: ${whole} of ${count} whole, ${retries} retries, longest fork ${forkMs} ms, parent ${unharmed ? 'unharmed' : 'HARMED'}`
  figures.push(figure)
  if (whole / count < 0.99 || !unharmed) failed.push(figure)
}
console.log(figures.join('; '))
assert.deepEqual(failed, [])
