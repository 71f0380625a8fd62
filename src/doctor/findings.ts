import { formatSize } from '../base/size'
import type { PassedOver } from '../capture/capture'
import { PROFILE_FILE_BYTES } from '../capture/cpu/capturer'
import { FORK_WAY } from '../capture/heap/fork/helper'
import { heapLimitInWords } from '../capture/heap/limit/allowance'
import {
  DISK_FLOOR_BYTES,
  FORK_NEED_FACTOR,
  judgeDisk,
  judgeFork,
  memoryReserveBytes,
  roomBeside,
  snapshotFileBytes,
} from '../capture/room'
import type { DumpKind } from '../dispatch/events'
import { ruleInWords, uncertainLimits, unreachableThresholds } from '../monitor/start/start-line'
import type { TurnHolder } from '../system/turn'
import type { DirectoryFacts, Facts } from './look'

/** One finding of the doctor: a fact about this process that decides whether dumps can be made, and how good they are. */
export interface Finding {
  /** What the finding is about, such as `directory`. */
  readonly subject: string
  /** `problem`: dumps will be missing. `note`: dumps will contain less, or need care. `ok`: nothing needs to be done. */
  readonly level: 'ok' | 'note' | 'problem'
  readonly text: string
  /** What the operator can do about the finding. */
  readonly advice?: string
}

/** Packages that an application may add for dumps or heap readings. Without them dumps are as good. */
const OPTIONAL_PACKAGES = ['v8-profiler-next', 'heapdump', 'memwatch-next']

/** Derives the findings from the settings of the monitor and the state of the process, its limits and its directories. */
export function findingsOf(facts: Facts): Finding[] {
  return [
    watched(facts),
    ...thresholds(facts),
    ...uncertain(facts),
    limits(facts),
    thread(facts),
    ways('cpu', facts),
    ways('memory', facts),
    memoryRoom(facts),
    heapLimit(facts),
    ...facts.directories.flatMap((directory) => directoryFindings(directory, facts)),
    ...fleet(facts),
    signal(facts),
    children(facts),
    ...permission(facts),
    ...confinement(facts),
  ]
}

const ONE_THREAD_PERCENT = 100

function watched({ node, platform, settings }: Facts): Finding {
  const rules = (['cpu', 'memory'] as const).flatMap((kind) => {
    const { rule } = settings[kind]
    return rule ? [ruleInWords(kind, rule)] : []
  })
  const named = settings.rules.map(({ name }) => name)
  const all = [...rules, ...named].join('; ') || 'nothing: dumps are made only on request'
  const several =
    (settings.cpu.rule?.threshold ?? 0) > ONE_THREAD_PERCENT
      ? `; a single busy thread uses ${ONE_THREAD_PERCENT}% of a core at most`
      : ''
  return { subject: 'watched', level: 'ok', text: `${all}${several}; Node.js ${node} on ${platform}` }
}

/** Findings about thresholds that can never or hardly be exceeded. The monitor logs the same warnings at its start. */
function thresholds({ settings, limits, unlikely }: Facts): Finding[] {
  const subject = 'threshold'
  const never = unreachableThresholds(settings, limits).map((each): Finding => ({
    subject,
    level: 'problem',
    ...each,
  }))
  if (unlikely === undefined) return never
  const advice = "lower the threshold, raise the heap limit, or add a rule with the metric 'heap'"
  return [...never, { subject, level: 'note', text: unlikely, advice }]
}

function uncertain({ limits }: Facts): Finding[] {
  const text = uncertainLimits(limits)
  const advice = 'make the files of the cgroup readable'
  return text === undefined ? [] : [{ subject: 'limits', level: 'note', text, advice }]
}

function limits({
  limits: { memoryLimitBytes, memoryLimitSource, totalMemoryBytes, cpus, cpusSource },
}: Facts): Finding {
  const memory =
    memoryLimitBytes === undefined
      ? `${formatSize(totalMemoryBytes)} of memory (machine, no limit found)`
      : `${formatSize(memoryLimitBytes)} of memory (${memoryLimitSource})`
  const text = `${memory}; ${Math.round(cpus * 100) / 100} cores (${cpusSource})`
  if (cpus >= 1) return { subject: 'limits', level: 'ok', text }
  return {
    subject: 'limits',
    level: 'note',
    text: `${text}: a heap snapshot shares less than one core with the application, and is given up after 120 s at the earliest (later for a large or redacted heap)`,
    advice: 'allow at least one core, or expect snapshots of small heaps only',
  }
}

function thread(facts: Facts): Finding {
  const { thread: text, isOnOwnThread, refused } = facts
  const subject = 'thread'
  if (isOnOwnThread) return { subject, level: 'ok', text: `the monitor takes its readings on ${text}` }
  const advice = refused
    ? adviceOnPermission(facts)
    : 'leave the option `watchdog` on, and raise RLIMIT_NPROC or pids.max if the system refuses a thread'
  return { subject, level: 'note', text: `the monitor takes its readings on ${text}`, advice }
}

function ways(kind: DumpKind, facts: Facts): Finding {
  const subject = `${kind} dump`
  const { available, passedOver } = facts.ways[kind]
  const better = betterOnes(passedOver)
  const whyNot = inWords(better)
  const [best, ...others] = available
  if (best === undefined)
    return {
      subject,
      level: 'problem',
      text: ['cannot be made', ...whyNot].join('; '),
      advice: adviceOn(better, facts),
    }
  const text = [[`by ${best}`, ...others.map((way) => `else by ${way}`)].join(', '), ...whyNot].join('; ')
  if (better.length === 0) return { subject, level: 'ok', text }
  return { subject, level: 'note', text, advice: adviceOn(better, facts) }
}

/** Returns the methods that are better than the one used, but cannot be used. Leaves out optional packages: none is better. */
export function betterOnes(passedOver: readonly PassedOver[]): PassedOver[] {
  return passedOver.filter(({ way }) => !OPTIONAL_PACKAGES.includes(way))
}

/**
 * Returns text and advice of the finding about a trial dump that was not complete after `trialMs`.
 *
 * @param holder - Who takes a heap snapshot at the end of that time. Under one memory limit only one process at a time does.
 */
export function lateTrial(trialMs: number, holder: TurnHolder): Required<Pick<Finding, 'text' | 'advice'>> {
  const late = `not made within ${trialMs / 1000} s`
  switch (holder) {
    case 'another':
      return { text: `${late}: another process under the same memory limit is dumping`, advice: 'try again' }
    case 'this process':
    case 'nobody':
      return {
        text: `${late}, although no other process under the same memory limit is dumping: this process has too little CPU, or the disk is slow`,
        advice: 'allow more CPU, use a faster disk, or try again when the machine is less busy',
      }
  }
}

export function inWords(passedOver: readonly PassedOver[]): string[] {
  return passedOver.map(({ way, why }) => `not by ${way}: ${why}`)
}

function adviceOn(passedOver: readonly PassedOver[], facts: Facts): string {
  if (facts.refused) return adviceOnPermission(facts)
  const all = passedOver.map(({ why }) => why).join(' ')
  if (/needs Linux/.test(all))
    return 'only Linux can dump in a forked child; keep thresholds low enough for a snapshot by the process itself'
  if (/was the package bundled/.test(all)) return 'leave cpu-memory-monitor out of the bundle'
  if (/no fork helper for/.test(all))
    return 'install the package from npm, which contains the fork helper for x64 and arm64'
  if (/inspector/.test(all))
    return 'use a Node.js that was built with the inspector; the parent process of `node --test` has none'
  return 'look for a noexec mount, for --no-addons, or for a filter of system calls'
}

/**
 * Names the flags that make Node's permission model allow what it refuses. No flag allows the inspector before Node.js 24.12:
 * https://nodejs.org/api/cli.html#--allow-inspector
 */
function adviceOnPermission({ refused = [], node }: Pick<Facts, 'refused' | 'node'>): string {
  const [major = 0, minor = 0] = node.slice(1).split('.').map(Number)
  const hasFlag = major > 24 || (major === 24 && minor >= 12)
  const flags = { worker: '--allow-worker', addon: '--allow-addons', inspector: '--allow-inspector' }
  const missing = refused.filter((scope) => hasFlag || scope !== 'inspector').map((scope) => flags[scope])
  const advice = missing.length > 0 ? `add ${missing.join(' ')}` : 'allow the access that the reason names'
  return hasFlag || !refused.includes('inspector')
    ? advice
    : `${advice}; CPU profiles, heap sampling and the watchdog thread need Node.js 24.12 or later with --allow-inspector`
}

/** Size of the heap at the memory threshold in the worst case, in which all memory of the process is heap, bytes. */
function fullHeapBytes({ settings, heapLimitBytes }: Pick<Facts, 'settings' | 'heapLimitBytes'>): number {
  return Math.min(settings.memory.rule?.threshold ?? Infinity, heapLimitBytes)
}

function memoryRoom(facts: Facts): Finding {
  const { settings, rssBytes, room, directories } = facts
  const heapBytes = fullHeapBytes(facts)
  const growthBytes = Math.max(0, heapBytes - rssBytes)
  const then = { ...room, availableBytes: Math.max(0, room.availableBytes - growthBytes) }
  const isMemory = directories.some(
    ({ directory, disk }) => directory === settings.memory.directory && disk?.isMemory,
  )
  const beside = isMemory ? roomBeside(snapshotFileBytes(heapBytes, settings.memory.redact), then) : then
  const { fits, numbers } = judgeFork(heapBytes, beside)
  const subject = 'memory for a snapshot'
  const text =
    `a heap of ${formatSize(heapBytes)} needs ${formatSize(numbers['needBytes'] ?? 0)} of memory in a forked child, ` +
    `${formatSize(numbers['haveBytes'] ?? 0)} will be available beside the reserve${isMemory ? ' and the snapshot file, which is in memory too' : ''}`
  if (fits) return { subject, level: 'ok', text }
  const forBothBytes = room.availableBytes + rssBytes - memoryReserveBytes(room.limitBytes)
  const fittingBytes = Math.max(0, Math.floor(forBothBytes / (1 + FORK_NEED_FACTOR)))
  return {
    subject,
    level: 'note',
    text: `${text}: if all memory of the process is heap, only the sampling profile will be written`,
    advice: isMemory
      ? 'choose a directory that is not on a tmpfs, lower memory.threshold, or raise the memory limit'
      : `lower memory.threshold to about ${formatSize(fittingBytes)}, or raise the memory limit`,
  }
}

function heapLimit({ atHeapLimit, heapLimitBytes, settings }: Facts): Finding {
  const subject = "V8's heap limit"
  const text = `${heapLimitInWords(heapLimitBytes)}; when it is reached: ${atHeapLimit?.inWords ?? 'no dump will be written'}`
  if (atHeapLimit?.hasDump) return { subject, level: 'ok', text }
  const advice = settings.memory.rule
    ? 'such a dump needs the option `memory.heapLimit` and the fork helper, see the finding "memory dump"'
    : 'watch memory, so that a dump can be written when a heap that reaches the limit ends the process'
  return { subject, level: 'note', text, advice }
}

function directoryFindings(facts: DirectoryFacts, { settings, heapLimitBytes }: Facts): Finding[] {
  const { directory, exists, whyNotWritable, whoCanTamper, disk } = facts
  const subject = 'directory'
  if (whyNotWritable !== undefined) {
    return [
      {
        subject,
        level: 'problem',
        text: `${directory} cannot be ${exists ? 'written' : 'created'}: ${whyNotWritable}`,
        advice:
          'set profileDir to a directory that this user can write and that has free space; choose one that outlives the process',
      },
    ]
  }
  const [dump, needBytes] =
    directory === settings.memory.directory
      ? [
          'memory dump',
          snapshotFileBytes(fullHeapBytes({ settings, heapLimitBytes }), settings.memory.redact),
        ]
      : (['CPU dump', PROFILE_FILE_BYTES] as const)
  const hasRoom = disk === undefined || judgeDisk(needBytes, disk.freeBytes).fits
  const state = exists ? 'can be written' : 'will be created with the first dump'
  const free = disk
    ? `, ${formatSize(disk.freeBytes)} free${disk.isMemory ? ' (tmpfs: files use memory)' : ''}`
    : ''
  const text = `${directory} ${state}${free}`
  return [
    hasRoom
      ? { subject, level: 'ok', text }
      : {
          subject,
          level: 'problem',
          text:
            `${text}: too little for a ${dump}, which may need ${formatSize(needBytes)} and leaves ` +
            `${formatSize(DISK_FLOOR_BYTES)} free; it would be skipped`,
          advice: 'make room, or choose a larger volume',
        },
    ...(whoCanTamper === undefined
      ? []
      : [
          {
            subject,
            level: 'note' as const,
            text: `other users can delete or move dumps in ${directory}: ${whoCanTamper}`,
            advice:
              'use a directory that only this user can write to, as well as to all directories above it',
          },
        ]),
  ]
}

/** Findings about uploads and the shared budget of dumps. Neither is tried: a trial dump is not uploaded and spends no token. */
function fleet({ settings: { fleet }, sentTo }: Facts): Finding[] {
  const notTried = (subject: string, text: string): Finding => ({
    subject,
    level: 'ok',
    text: `${text}; not tried`,
  })
  return [
    ...(sentTo === undefined ? [] : [notTried('uploads', `dumps are sent to ${sentTo}`)]),
    ...(fleet === undefined ? [] : [notTried('fleet', fleet.inWords)]),
  ]
}

function signal({ signal: name, signalListeners }: Facts): Finding {
  const subject = 'signal'
  if (name === undefined) return { subject, level: 'ok', text: 'no signal triggers a heap snapshot' }
  if (signalListeners === 1) return { subject, level: 'ok', text: `${name} triggers a heap snapshot` }
  const owner =
    signalListeners === 0
      ? 'a native handler takes it, or this platform does not have it'
      : 'another listener takes it'
  return {
    subject,
    level: 'note',
    text: `${name} triggers no heap snapshot: ${owner}`,
    advice: 'set the option `signal` to another signal, or call dumpMemory()',
  }
}

function children({ endsItsChildren, ways: { memory } }: Facts): Finding {
  const subject = 'PID 1'
  if (!memory.available.includes(FORK_WAY))
    return { subject, level: 'ok', text: 'the process forks no child whose dump its end could cut off' }
  if (!endsItsChildren)
    return {
      subject,
      level: 'ok',
      text: 'a forked child outlives this process, and completes its dump (as a systemd service only with KillMode=process)',
    }
  return {
    subject,
    level: 'note',
    text: 'the end of this process ends its container, and so also a forked child that is still writing a dump',
    advice:
      'await monitor.stop() before the process exits, and set memory.heapLimit.hold to the time of a snapshot',
  }
}

function permission(facts: Facts): Finding[] {
  const { refused } = facts
  if (refused === undefined) return []
  const subject = 'permission model'
  if (refused.length === 0) return [{ subject, level: 'ok', text: 'is on and allows what a dump needs' }]
  return [
    { subject, level: 'note', text: `refuses ${refused.join(', ')}`, advice: adviceOnPermission(facts) },
  ]
}

function confinement({
  confinement: { fileSizeBytes, addressSpaceBytes, isFiltered },
  settings,
  heapLimitBytes,
}: Facts): Finding[] {
  const fileBytes = snapshotFileBytes(fullHeapBytes({ settings, heapLimitBytes }))
  const findings: Finding[] = []
  if (fileSizeBytes !== undefined && fileSizeBytes < fileBytes)
    findings.push({
      subject: 'RLIMIT_FSIZE',
      level: 'problem',
      text: `no file may be larger than ${formatSize(fileSizeBytes)}, a snapshot may take ${formatSize(fileBytes)}`,
      advice: 'raise it (ulimit -f)',
    })
  if (addressSpaceBytes !== undefined)
    findings.push({
      subject: 'RLIMIT_AS',
      level: 'note',
      text: `the process may use ${formatSize(addressSpaceBytes)} of virtual address space, of which V8 reserves much more than it uses`,
      advice: 'limit memory by a cgroup instead (ulimit -v unlimited)',
    })
  findings.push(
    isFiltered
      ? {
          subject: 'seccomp',
          level: 'note',
          text: 'system calls are filtered; only a dump can show whether the filter allows the calls that a dump needs',
          advice:
            'see the findings about trial dumps, if any, or trigger a dump (by the signal or dumpMemory()) before you need one',
        }
      : { subject: 'seccomp', level: 'ok', text: 'no system call is filtered' },
  )
  return findings
}
