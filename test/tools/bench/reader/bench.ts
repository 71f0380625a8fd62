import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { deliver, progress, reported } from '../output/report'
import { install } from '../peers'
import { OURS, type Row, type Rows, textOf } from './figures'
import { run } from './run'

const MEMLAB = 'memlab@2.0.5'
/** The flags of its own first line, which `node <file>` does not see. */
const MEMLAB_FLAGS = ['--expose-gc', '--max-old-space-size=4096']
const CLI = resolve(__dirname, '../../../../dist/reader/cli.js')
const LIMIT_MS = 20 * 60_000
/** The class that fills the heap of heap.cjs: each reader has to name it. */
const CULPRIT = 'Order'

export interface Plan {
  readonly mb: number
  readonly seconds: number
  readonly rounds: number
  readonly json?: string
}

export async function bench({ mb, seconds, rounds, json }: Plan): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-reader-'))
  try {
    const report = await reported({ mb, seconds, rounds }, async () => ({
      snapshot: await readSnapshot(directory, mb, rounds),
      profile: await readProfile(directory, seconds, rounds),
    }))
    deliver(report, textOf(report), json)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function readSnapshot(directory: string, mb: number, rounds: number): Promise<Rows['snapshot']> {
  const file = join(directory, 'a.heapsnapshot')
  const page = join(directory, 'snapshot.html')
  await run(['--max-old-space-size=8192', join(__dirname, 'heap.cjs'), String(mb), file], LIMIT_MS)
  progress(`a snapshot of ${Math.round(megabytesOf(file))} MB`)
  const readers = [
    { name: OURS, args: [CLI, 'report', file, '--out', page] },
    ...memlab(directory, file, ['object-size', 'shape']),
  ]
  return { fileMb: megabytesOf(file), readers: await inTurn(readers, rounds, CULPRIT) }
}

async function readProfile(directory: string, seconds: number, rounds: number): Promise<Rows['profile']> {
  const profiles = join(directory, 'profiles')
  const page = join(directory, 'profile.html')
  await run(
    ['--cpu-prof', `--cpu-prof-dir=${profiles}`, join(__dirname, 'compile.cjs'), String(seconds)],
    LIMIT_MS,
  )
  const file = join(profiles, readdirSync(profiles)[0] ?? '')
  progress(`a CPU profile of ${Math.round(megabytesOf(file))} MB`)
  const [reader] = await inTurn([{ name: OURS, args: [CLI, 'report', file, '--out', page] }], rounds)
  if (reader === undefined || reader.reason !== undefined) throw new Error(reader?.reason ?? 'no rounds')
  return { fileMb: megabytesOf(file), pageMb: megabytesOf(page), reader }
}

interface Reader {
  readonly name: string
  readonly args?: readonly string[]
  readonly reason?: string
}

function memlab(directory: string, file: string, analyses: readonly string[]): Reader[] {
  const installed = install(MEMLAB)
  return analyses.map((analysis) => {
    const name = `${MEMLAB} ${analysis}`
    if ('reason' in installed) return { name, reason: installed.reason }
    const work = join(directory, analysis)
    mkdirSync(work)
    const program = join(installed.modules, 'memlab/bin/memlab')
    return {
      name,
      args: [...MEMLAB_FLAGS, program, 'analyze', analysis, '--snapshot', file, '--work-dir', work],
    }
  })
}

/** Each reader once a round. One that fails is not run again. */
async function inTurn(readers: readonly Reader[], rounds: number, culprit = ''): Promise<Row[]> {
  const rows = readers.map((reader) => ({ ...reader, seconds: [] as number[], peakMb: [] as number[] }))
  for (let round = 0; round < rounds; round++) {
    for (const row of rows) {
      if (row.args === undefined || row.reason !== undefined) continue
      try {
        const { seconds, peakMb, output } = await run(row.args, LIMIT_MS)
        if (!output.includes(culprit)) throw new Error(`it does not name ${culprit}`)
        row.seconds.push(seconds)
        row.peakMb.push(peakMb)
        progress(
          `round ${round + 1} of ${rounds}: ${row.name}: ${seconds.toFixed(1)} s, ${peakMb.toFixed(0)} MB`,
        )
      } catch (error) {
        row.reason = (error as Error).message.split('\n', 1)[0] ?? ''
        progress(`${row.name}: ${row.reason}`)
      }
    }
  }
  return rows.map(({ name, seconds, peakMb, reason }) => ({
    name,
    seconds,
    peakMb,
    ...(reason !== undefined && { reason }),
  }))
}

function megabytesOf(file: string): number {
  return statSync(file).size / 1e6
}
