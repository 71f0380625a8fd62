import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../base/globals'
import { formatSize } from '../base/size'
import { clearInterval, clearTimeout, MAX_TIMER_MS, setInterval, setTimeout } from '../base/time'
import type { DumpKind, DumpResult } from '../dispatch/events'
import { processRegistry } from '../dispatch/gate'
import { findTamperer, nearestExisting } from '../files/directory'
import { PRELOAD_DEFAULTS, readEnvironment } from '../monitor/environment'
import { resolveOptions, type Settings } from '../monitor/options'
import { type Monitoring, startMonitoring } from '../monitor/start/start'
import { type MonitorEvents, Voice } from '../monitor/voice'
import { DESTINATION } from '../report/on-dump'
import { turnHolder } from '../system/turn'
import { betterOnes, type Finding, findingsOf, inWords, lateTrial } from './findings'
import { lookAround } from './look'

export { asText } from './text'
export type { Finding }

/** Result of {@link examine}: the process that was examined, and the findings about it. */
export interface Examination {
  readonly node: string
  readonly pid: number
  readonly findings: readonly Finding[]
}

/** Length of the trial CPU profile, ms. */
const PROFILE_MS = 100
/** Longest time to wait for a trial dump, ms. A heap snapshot waits for those of other processes under the same memory limit. */
const TRIAL_MS = 30_000

const KINDS = ['cpu', 'memory'] as const

/**
 * Starts a monitor as `cpu-memory-monitor/register` would with these environment variables, examines the limits and directories
 * of the process, takes one trial dump of each kind, and stops the monitor. The trial dumps are written to temporary
 * directories, which are then removed.
 */
export async function examine(environment: NodeJS.ProcessEnv): Promise<Examination> {
  // NODE_OPTIONS may have started a monitor in this process too. It is stopped, because a process can have only one.
  processRegistry().preloaded?.standBack()
  const { settings, findings } = readSettings(environment)
  const trials = makeTrialDirectories(settings)
  const removeTrials = (): void => remove(Object.values(trials))
  // On Ctrl-C the process exits before `finally` below, so the directories are also removed at the event 'exit'.
  process.once('exit', removeTrials)
  // This timer keeps the process alive, because the monitor does not.
  const hold = setInterval(() => undefined, MAX_TIMER_MS)
  try {
    const { monitoring, failed } = start(withDirectories(settings, trials))
    const facts = await lookAround(
      await monitoring.facts(),
      KINDS.map((kind) => settings[kind].directory),
    )
    const tried: Finding[] = []
    for (const kind of KINDS) tried.push(await tryOut(monitoring, kind, trials[kind] !== undefined))
    await monitoring.stop()
    const real = { cpu: settings.cpu.directory, memory: settings.memory.directory }
    const inReal = {
      ...facts,
      settings: withDirectories(facts.settings, real),
      sentTo: settings.onDump?.[DESTINATION],
    }
    const all = [...findings, ...failed, ...findingsOf(inReal), ...tried]
    return { node: process.version, pid: process.pid, findings: all }
  } finally {
    clearInterval(hold)
    process.removeListener('exit', removeTrials)
    removeTrials()
  }
}

type TrialDirectories = Partial<Record<DumpKind, string>>

function readSettings(environment: NodeJS.ProcessEnv): { settings: Settings; findings: Finding[] } {
  const subject = 'configuration'
  const defaults = (): Settings => resolveOptions(PRELOAD_DEFAULTS)
  try {
    const settings = readEnvironment(environment)
    if (settings) return { settings, findings: [] }
    const text =
      'CMM_ENABLED is false: cpu-memory-monitor/register starts no monitor; the other findings are for the default options'
    return {
      settings: defaults(),
      findings: [{ subject, level: 'note', text, advice: 'set CMM_ENABLED=true' }],
    }
  } catch (error) {
    const text = `${messageOf(error)}; cpu-memory-monitor/register starts no monitor; the other findings are for the default options`
    return {
      settings: defaults(),
      findings: [{ subject, level: 'problem', text, advice: 'correct the variable' }],
    }
  }
}

/** Starts the monitor. If it does not start, as with `engine: 'packages'` without a package, starts it with `engine: 'auto'`. */
function start(settings: Settings): { monitoring: Monitoring; failed: Finding[] } {
  const silent = (): Voice => new Voice(new EventEmitter<MonitorEvents>(), false)
  const quiet = { ...settings, logger: false, onDump: undefined } as const
  try {
    return { monitoring: startMonitoring(quiet, silent(), true), failed: [] }
  } catch (error) {
    const monitoring = startMonitoring({ ...quiet, engine: 'auto' }, silent(), true)
    const text = `${messageOf(error)} Until that is done, cpu-memory-monitor/register starts no monitor; the other findings are for the engine 'auto'.`
    return {
      monitoring,
      failed: [{ subject: 'start', level: 'problem', text, advice: 'set CMM_ENGINE=auto' }],
    }
  }
}

function makeTrialDirectories(settings: Settings): TrialDirectories {
  return Object.fromEntries(
    KINDS.flatMap((kind) => {
      try {
        const place = placeFor(settings[kind].directory)
        return [[kind, mkdtempSync(join(place, '.cpu-memory-monitor-doctor-'))]]
      } catch {
        // The finding with the subject `directory` gives the reason.
        return []
      }
    }),
  )
}

/**
 * Returns where to create the directory for a trial dump: in the dump directory or its nearest existing parent, or, if other
 * users can rename there, in the system's temporary directory. Such a user could replace the trial directory by one of their
 * own, and its removal would then delete other files.
 */
function placeFor(directory: string): string {
  const place = nearestExisting(directory)
  if (findTamperer(place) === undefined) return place
  const tamperer = findTamperer(tmpdir())
  if (tamperer !== undefined) throw new Error(tamperer)
  return tmpdir()
}

/** Removes directories. Tries again if that fails, because a forked child may still create a file there. */
function remove(directories: readonly string[]): void {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}

interface WithDirectories {
  readonly cpu: { readonly directory: string }
  readonly memory: { readonly directory: string }
}

function withDirectories<Given extends WithDirectories>(
  settings: Given,
  directories: TrialDirectories,
): Given {
  const { cpu, memory } = settings
  return {
    ...settings,
    cpu: { ...cpu, directory: directories.cpu ?? cpu.directory },
    memory: { ...memory, directory: directories.memory ?? memory.directory },
  }
}

async function tryOut(monitoring: Monitoring, kind: DumpKind, hasDirectory: boolean): Promise<Finding> {
  const subject = `trial of a ${kind} dump`
  if (!hasDirectory) return { subject, level: 'problem', text: 'not made: its directory cannot be created' }
  const result = await within(monitoring.dumpByHand(kind, { askedBy: 'doctor' }, PROFILE_MS))
  if (result === undefined) {
    // Only heap snapshots wait for those of other processes.
    return { subject, level: 'note', ...lateTrial(TRIAL_MS, kind === 'memory' ? turnHolder() : 'nobody') }
  }
  if ('skipped' in result) {
    const text = `not made: ${'message' in result ? result.message : result.skipped}`
    return {
      subject,
      level: 'problem',
      text,
      advice: 'where another finding gives the reason, it also says what helps',
    }
  }
  const { way, sizeBytes, pauseMs } = result
  const made = `made by ${way}, ${formatSize(sizeBytes)}; the process stood still for ${pauseMs} ms`
  const better = betterOnes(result.passedOver)
  if (better.length === 0) return { subject, level: 'ok', text: made }
  return {
    subject,
    level: 'note',
    text: [made, ...inWords(better)].join('; '),
    advice: 'where another finding gives the reason, it also says what helps',
  }
}

async function within(dump: Promise<DumpResult>): Promise<DumpResult | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), TRIAL_MS)))
  try {
    return await Promise.race([dump, late])
  } finally {
    clearTimeout(timer)
  }
}
