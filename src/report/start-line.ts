import { formatSize } from '../core/size'
import type { Budget } from '../core/budget'
import type { DumpKind } from '../dispatch/events'
import type { PassedOver } from '../capture/capture'

export interface Started {
  readonly rules: {
    readonly [Kind in DumpKind]?: { readonly threshold: number; readonly counter: number } | undefined
  }
  readonly budgets: { readonly [Kind in DumpKind]: Budget }
  readonly directories: { readonly [Kind in DumpKind]: string }
  readonly signal: string | undefined
  /** Where loops and dispatcher run. */
  readonly thread: string
  readonly ways: { readonly [Kind in DumpKind]: KindWays }
  /** The sources of the leak watch's readings that could not be taken. */
  readonly leakPassedOver?: readonly PassedOver[]
  /** What happens at V8's heap limit; absent when that is not looked after. */
  readonly atHeapLimit?: string | undefined
}

interface KindWays {
  readonly available: readonly string[]
  readonly passedOver: readonly PassedOver[]
}

/** The one line at start: what is watched, thresholds and limits, directory, thread, ways available. */
export function startLine(started: Started): string {
  const { rules, budgets, directories, signal, thread, ways } = started
  const watched = (['cpu', 'memory'] as const).flatMap((kind) => {
    const rule = rules[kind]
    if (!rule) return []
    const by = ways[kind].available.join(', ') || 'nothing'
    return `${kind} above ${amount(kind, rule.threshold)} (${limits(rule.counter, budgets[kind])}) to ${directories[kind]} by ${by}`
  })
  const manual = signal === undefined ? [] : [`${signal} for a heap snapshot to ${directories.memory}`]
  const all = [...watched, ...manual].join('; ') || 'nothing'
  const { atHeapLimit } = started
  const atLimit = atHeapLimit === undefined ? '' : `; at V8's heap limit: ${atHeapLimit}`
  return `watching ${all}; on ${thread}${atLimit}${passedOver(started)}`
}

/** Told once when a memory threshold can never trip; `undefined` when it can. */
export function uselessThreshold(thresholdBytes: number, limitBytes: number | undefined): string | undefined {
  if (limitBytes === undefined || thresholdBytes < limitBytes) return undefined
  return (
    `the memory threshold of ${thresholdBytes} bytes can never be passed: ` +
    `the cgroup's limit is ${limitBytes} bytes, the kernel ends the process there`
  )
}

function amount(kind: DumpKind, threshold: number): string {
  return kind === 'cpu' ? `${Math.round(threshold * 10) / 10}% of a core` : formatSize(threshold)
}

function limits(counter: number, { tokensPerInterval, intervalMs }: Budget): string {
  const row = counter === 1 ? 'at once' : `${counter} readings in a row`
  return `${row}, at most ${tokensPerInterval} per ${intervalMs / 1000} s`
}

/** Of the kinds that are watched, and of what the signal can ask for. */
function passedOver({ rules, signal, ways, leakPassedOver = [] }: Started): string {
  const cpu = rules.cpu ? ways.cpu.passedOver : []
  const memory = rules.memory || signal !== undefined ? ways.memory.passedOver : []
  const all = [...cpu, ...memory, ...leakPassedOver]
  const reasons = all.map(({ way, why }) => `${way} (${why})`)
  return reasons.length > 0 ? `; passed over: ${[...new Set(reasons)].join(', ')}` : ''
}
