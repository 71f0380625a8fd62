// How long it takes from the first instant above a threshold to a whole file, on several Nodes: a CPU profile of 1 s and a heap
// snapshot, while the main thread is free, in a loop, in a regular expression, and in native calls of 3 s each. One reading each
// second, of which one above the threshold is enough; each round passes the threshold at another instant between two readings.
//
//   npm run bench -- detect [--rounds 5] [--nodes 20,26] [--json <file>]
//
// With the defaults 8 minutes. A Node that is not the one that runs here comes from npm, once.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'
import { nodeOf } from '../accept/programs/on-each-node.mjs'

const { deliver, progress, reported } = requireTs('./output/report.ts', import.meta.url)
const { textOf } = requireTs('./detect/text.ts', import.meta.url)

const PROGRAM = fileURLToPath(new URL('detect/program.cjs', import.meta.url))
const EXTENSIONS = { cpu: '.cpuprofile', memory: '.heapsnapshot' }
const WORKS = ['free', 'loop', 'regex', 'native call']
/** Until the monitor has started and has a first reading. */
const SETTLED_MS = 2000
const INTERVAL_MS = 1000
const GIVE_UP_MS = 60_000
const POLL_MS = 2

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    nodes: { type: 'string', default: '20,26' },
    json: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const report = await reported({ rounds, nodes: values.nodes }, measureAll)
deliver(report, textOf(report), values.json)

async function measureAll() {
  const cases = values.nodes
    .split(',')
    .flatMap((node) => Object.keys(EXTENSIONS).flatMap((kind) => WORKS.map((work) => ({ node, kind, work }))))
  const rows = cases.map((each) => ({ ...each, wholeAfterMs: [], without: 0 }))
  for (let round = 0; round < rounds; round++) {
    for (const row of rows) {
      const delayMs = SETTLED_MS + (round / rounds) * INTERVAL_MS
      const wholeAfterMs = await measure(row, delayMs)
      if (wholeAfterMs === undefined) row.without++
      else row.wholeAfterMs.push(wholeAfterMs)
      progress(
        `round ${round + 1} of ${rounds}: Node ${row.node}, ${row.kind}, ${row.work}: ${wholeAfterMs ?? 'no file after a minute'}`,
      )
    }
  }
  return rows
}

async function measure({ node, kind, work }, delayMs) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-detect-'))
  const child = spawn(nodeOf(node), [PROGRAM, kind, work, String(delayMs)], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  try {
    const [text] = await Promise.race([
      once(child.stdout, 'data'),
      closed.then(([code, signal]) => {
        throw new Error(`${kind}, ${work}: it ended with ${signal ?? code}`)
      }),
    ])
    const aboveAtMs = Number(text)
    while (Date.now() < aboveAtMs + GIVE_UP_MS) {
      if (readdirSync(directory).some((name) => name.endsWith(EXTENSIONS[kind])))
        return Date.now() - aboveAtMs
      await sleep(POLL_MS)
    }
    return undefined
  } finally {
    child.kill('SIGKILL')
    await closed
    rmSync(directory, { recursive: true, force: true })
  }
}
