import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Census, type Entry } from '../../../e2e/cluster/census'
import { Load } from '../../../e2e/cluster/http-client'
import { monotonicMs } from '../../../e2e/cluster/running-cluster'
import type { Figures } from './figures'
import { allGone } from './process-group'
import { environment, freePort, type Profile, USERS, WORKERS } from './setting'
import type { Start } from './start'
import type { Undo } from './undo'

const START_MS = 30_000
/** A request without an answer is given up after 10 s. */
const AFTER_LOAD_MS = 30_000

export interface Run {
  readonly start: Start
  /** The `node_modules` of its peer; empty without one. */
  readonly modules: string
  readonly profile: Profile
  readonly seconds: number
  readonly undo: Undo
  /** Ends it before its time. */
  readonly stop: AbortSignal
}

/** Starts a variant, waits until all workers accept, puts it under load, and ends it. */
export async function measure({ start, modules, profile, seconds, undo, stop }: Run): Promise<Figures> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-cluster-'))
  undo.after(() => rmSync(directory, { recursive: true, force: true }))
  const probeFile = join(directory, 'probe')
  undo.after(() => allGone(censusOf(readEntries(probeFile)).allPids()))
  const outputFile = join(directory, 'output')
  const port = await freePort()
  const longestMs = START_MS + seconds * 1000 + 2 * AFTER_LOAD_MS
  const env = environment(port, profile, probeFile, longestMs)
  await start({ directory, env, modules, outputFile, undo })
  await allAccept(probeFile, outputFile, stop)

  const beganAt = monotonicMs()
  const load = new Load(undo, port, { users: USERS, seconds, mix: profile.mix })
  const end = AbortSignal.any([stop, AbortSignal.timeout(seconds * 1000 + AFTER_LOAD_MS)])
  const { sent, failed, why } = await Promise.race([load.result(), rejectedBy(end)])
  const endedAt = monotonicMs()

  const entries = readEntries(probeFile).filter(({ t }) => t <= endedAt)
  // What was missing at the end was missing until the end.
  const { leastAccepting, msBelow, mostLive } = censusOf([
    ...entries,
    { t: endedAt, ev: 'end', id: 0, pid: 0 },
  ])
  const replaced = entries.filter(({ ev, t }) => ev === 'fork' && t >= beganAt).length
  return { sent, failed, why, replaced, leastAccepting, msBelow, mostLive }
}

async function allAccept(probeFile: string, outputFile: string, stop: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + START_MS
  while (!haveAllAccepted(readEntries(probeFile))) {
    stop.throwIfAborted()
    if (performance.now() > giveUpAt) throw new Error(`it did not come up: ${lastLine(outputFile)}`)
    await pause(50)
  }
}

function haveAllAccepted(entries: readonly Entry[]): boolean {
  return censusOf(entries).leastAccepting !== Infinity
}

function censusOf(entries: readonly Entry[]): Census {
  const census = new Census(WORKERS)
  for (const entry of entries) census.take(entry)
  return census
}

function readEntries(probeFile: string): Entry[] {
  if (!existsSync(probeFile)) return []
  const lines = readFileSync(probeFile, 'utf8').split('\n')
  // The last one may still be on its way.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Entry)
}

function lastLine(outputFile: string): string {
  if (!existsSync(outputFile)) return 'it said nothing'
  return readFileSync(outputFile, 'utf8').trimEnd().split('\n').at(-1) || 'it said nothing'
}

async function rejectedBy(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted()
  await once(signal, 'abort')
  throw signal.reason
}
