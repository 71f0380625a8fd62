import { formatSize } from '../../base/size'
import type { PassedOver } from '../../capture/capture'
import type { ResolvedPackage } from '../../capture/engines'
import type { DumpKind } from '../../dispatch/events'
import type { KindSettings, NamedRule, RuleSettings, Ways } from '../../watch/watch'

/** What the monitor watches: settings of CPU and memory, and further rules. Also the budget of dumps that many processes share. */
type Watched = Readonly<Record<DumpKind, KindSettings>> & {
  /** The rules of the option `rules`. */
  readonly rules?: readonly NamedRule[]
  /** The budget that many processes share (option `fleet`). */
  readonly fleet?: { readonly inWords: string } | undefined
}

export interface Started extends Watched {
  readonly signal: string | undefined
  /** The thread that takes the readings and decides about dumps, as a phrase. */
  readonly thread: string
  readonly ways: Ways
  /** Where dumps are uploaded to, as a phrase. Absent without an upload. */
  readonly sentTo?: string | undefined
  /** Optional packages that the monitor uses, for dumps or for readings of the leak watch. */
  readonly packages?: readonly ResolvedPackage[]
  /** Sources of heap readings that the leak watch would prefer but that are not available, with the reason. */
  readonly leakPassedOver?: readonly PassedOver[]
  /** What is dumped at V8's heap limit, as a phrase; absent when the option `heapLimit` is off. */
  readonly atHeapLimit?: string | undefined
}

/** Limits of memory and CPU that apply to the process, as far as the warnings at start need them. */
interface Limits {
  readonly memoryLimitBytes?: number
  readonly totalMemoryBytes: number
  readonly cpus: number
  readonly cpusSource: 'cgroup-v2' | 'cgroup-v1' | 'machine' | 'unknown'
  readonly problems?: string
}

/** Returns the log line at start: rules, thresholds, limiters, directories, methods, thread, source of readings, packages. */
export function startLine(started: Started): string {
  const { memory, rules = [], signal, thread, ways, sentTo } = started
  const watched = (['cpu', 'memory'] as const).flatMap((kind) => {
    const { rule, directory } = started[kind]
    if (!rule) return []
    const by = ways[kind].available.join(', ') || 'nothing'
    return `${head(kind, rule)} (${dumps(rule, kind)} to ${directory} by ${by})`
  })
  const named = rules.map(
    (rule) => `${namedHead(rule)} (${dumps(rule, rule.dump)} to ${started[rule.dump].directory})`,
  )
  const manual = signal === undefined ? [] : [`${signal} (a heap snapshot to ${memory.directory})`]
  const fleet = started.fleet ? [started.fleet.inWords] : []
  const all = [...watched, ...named, ...manual, ...fleet].join('; ') || 'nothing'
  const { atHeapLimit } = started
  const atLimit = atHeapLimit === undefined ? '' : `; at V8's heap limit: ${atHeapLimit}`
  const sent = sentTo === undefined ? '' : `; dumps are sent to ${sentTo}`
  const readings = ways.cpuReadings === undefined ? '' : `; CPU readings by ${ways.cpuReadings}`
  return `watching ${all}; on ${thread}${sent}${atLimit}${readings}${packageFiles(started)}${passedOver(started)}`
}

/** Describes the rule `cpu` or `memory`, such as `cpu above 90% of a core in 1 reading (at most 3 cpu dumps per 3600 s)`. */
export function ruleInWords(kind: DumpKind, rule: RuleSettings): string {
  return `${head(kind, rule)} (${dumps(rule, kind)})`
}

/** Describes a rule of the option `rules`, such as `queue: function above 100 in 1 reading (at most 3 cpu dumps per 3600 s)`. */
export function namedRuleInWords(rule: NamedRule): string {
  return `${namedHead(rule)} (${dumps(rule, rule.dump)})`
}

/** Returns log lines that warn of thresholds that can never be exceeded, and of limits that could not be read. */
export function startWarnings(watched: Watched, limits: Limits): string[] {
  const uncertain = uncertainLimits(limits)
  const never = unreachableThresholds(watched, limits).map(({ text, advice }) => `${text}; ${advice}`)
  return [...(uncertain === undefined ? [] : [uncertain]), ...never]
}

/** Advice for a memory threshold that is too large, as the default of 1.2 GB is in a small container. */
const MEMORY_ADVICE = "set a smaller one, or a share such as '85%' of that memory"

/** A threshold that can never be exceeded: which one and why, and what the operator can do. */
interface Unreachable {
  readonly text: string
  readonly advice: string
}

/** Returns the thresholds that can never be exceeded. */
export function unreachableThresholds({ cpu, memory, rules = [] }: Watched, limits: Limits): Unreachable[] {
  return [
    cpu.rule && unreachableCpu(cpu.rule.threshold, limits),
    memory.rule && unreachableMemory('the memory threshold', memory.rule.threshold, limits, MEMORY_ADVICE),
    ...rules.map((rule) => unreachableRule(rule, limits)),
  ].filter((each): each is Unreachable => each !== undefined)
}

/** Returns a log line if limits of the process could not be read. */
export function uncertainLimits({ problems }: Limits): string | undefined {
  return (
    problems &&
    `memory or CPU limits of this process are uncertain: ${problems}; a limit that cannot be read or parsed is ignored`
  )
}

const SOURCES = {
  'cgroup-v1': 'the cgroup quota',
  'cgroup-v2': 'the cgroup quota',
  machine: 'the machine',
  unknown: 'the machine',
}

function unreachableCpu(percent: number, { cpus, cpusSource }: Limits): Unreachable | undefined {
  if (percent < cpus * 100) return undefined
  // Users confuse a number (percent of one core) with a string such as '80%' (percent of all cores), so the line explains both.
  const share = percent < 100 ? rounded(percent) : 90
  return {
    text:
      `the CPU threshold of ${rounded(percent)}% of a core can never be exceeded: ${SOURCES[cpusSource]} allows ` +
      `${Math.round(cpus * 100) / 100} cores (${rounded(cpus * 100)}%)`,
    advice: `set a smaller one; the string '${share}%' means ${rounded(share * cpus)}% of a core here`,
  }
}

function unreachableRule({ name, metric, threshold }: NamedRule, limits: Limits): Unreachable | undefined {
  const what = `the threshold of the rule ${name}`
  const never = `${what} can never be exceeded`
  switch (metric) {
    case 'heap':
    case 'eventLoopUtilization':
      return threshold < 100
        ? undefined
        : { text: `${never}: no reading is above 100%`, advice: 'set one below 100%' }
    case 'container':
      if (limits.memoryLimitBytes === undefined)
        return {
          text: `${never}: no cgroup sets a memory limit for this process`,
          advice: 'set a memory limit for the container, or remove the rule',
        }
      return threshold < 100
        ? undefined
        : {
            text: `${never}: at 100% of the limit the kernel ends a process`,
            advice: 'set one below 100%',
          }
    case 'external':
      return unreachableMemory(what, threshold, limits)
    case 'eventLoopDelay':
    case 'function':
      return undefined
  }
}

function unreachableMemory(
  what: string,
  thresholdBytes: number,
  { memoryLimitBytes, totalMemoryBytes }: Limits,
  advice = 'set a smaller one',
): Unreachable | undefined {
  if (thresholdBytes < (memoryLimitBytes ?? totalMemoryBytes)) return undefined
  const bound =
    memoryLimitBytes === undefined
      ? `the machine has ${formatSize(totalMemoryBytes)}`
      : `the cgroup's limit is ${formatSize(memoryLimitBytes)}, where the kernel ends the process`
  return { text: `${what} of ${formatSize(thresholdBytes)} can never be exceeded: ${bound}`, advice }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}

function amount(kind: DumpKind, threshold: number): string {
  return kind === 'cpu' ? `${rounded(threshold)}% of a core` : formatSize(threshold)
}

function amountOf({ metric, threshold }: NamedRule): string {
  switch (metric) {
    case 'external':
      return formatSize(threshold)
    case 'eventLoopDelay':
      return `${threshold} ms`
    case 'function':
      return `${threshold}`
    case 'heap':
    case 'eventLoopUtilization':
    case 'container':
      return `${rounded(threshold)}%`
  }
}

function head(kind: DumpKind, rule: RuleSettings): string {
  return `${kind} above ${amount(kind, rule.threshold)} ${readings(rule)}`
}

function namedHead(rule: NamedRule): string {
  return `${rule.name}: ${rule.metric} above ${amountOf(rule)} ${readings(rule)}`
}

function readings({ counter }: RuleSettings): string {
  return counter === 1 ? 'in 1 reading' : `in ${counter} readings in a row`
}

function dumps({ budget: { tokensPerInterval, intervalMs } }: RuleSettings, kind: DumpKind): string {
  return `at most ${tokensPerInterval} ${kind} ${tokensPerInterval === 1 ? 'dump' : 'dumps'} per ${intervalMs / 1000} s`
}

/** Names the file of each optional package, so that an operator sees where the code comes from. */
function packageFiles({ packages = [] }: Started): string {
  const files = packages.map(
    ({ name, file }) => `${name} ${file ? `from ${file}` : 'passed in by the application'}`,
  )
  return files.length > 0 ? `; optional packages: ${files.join(', ')}` : ''
}

/**
 * Names the methods that cannot be used, each with the reason: of CPU dumps if CPU is watched, of memory dumps if memory is
 * watched or a signal triggers them, and of the heap readings of the leak watch.
 */
function passedOver({ cpu, memory, signal, ways, leakPassedOver = [] }: Started): string {
  const ofCpu = cpu.rule ? ways.cpu.passedOver : []
  const ofMemory = memory.rule || signal !== undefined ? ways.memory.passedOver : []
  const all = [...ofCpu, ...ofMemory, ...leakPassedOver]
  const reasons = all.map(({ way, why }) => `${way} (${why})`)
  return reasons.length > 0 ? `; not used: ${[...new Set(reasons)].join(', ')}` : ''
}
