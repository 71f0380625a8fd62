import { formatSize } from '../core/size'
import type { Budget } from '../dispatch/dump-budget'
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
}

interface KindWays {
  readonly available: readonly string[]
  readonly passedOver: readonly PassedOver[]
}

/** The one line at start: what is watched, thresholds and limits, directory, thread, ways available. */
export function startLine({ rules, budgets, directories, signal, thread, ways }: Started): string {
  const { cpu, memory } = rules
  const watched = [
    cpu &&
      `cpu above ${round(cpu.threshold)}% ${limits(cpu.counter, budgets.cpu)} to ${directories.cpu} by ${list(ways.cpu)}`,
    memory &&
      `memory above ${formatSize(memory.threshold)} ${limits(memory.counter, budgets.memory)} to ${directories.memory} by ${list(ways.memory)}`,
    signal !== undefined && `${signal} for a heap snapshot to ${directories.memory}`,
  ]
  return `watching ${watched.filter(Boolean).join('; ') || 'nothing'}; on ${thread}`
}

/** Things that make a rule useless, told once. */
export function uselessThreshold(thresholdBytes: number, limitBytes: number | undefined): string | undefined {
  if (limitBytes === undefined || thresholdBytes < limitBytes) return undefined
  return (
    `the memory threshold of ${thresholdBytes} bytes can never be passed: ` +
    `the cgroup's limit is ${limitBytes} bytes, the kernel ends the process there`
  )
}

function limits(counter: number, { tokensPerInterval, intervalMs }: Budget): string {
  const times = counter === 1 ? '' : `${counter} times in a row, `
  return `(${times}at most ${tokensPerInterval} dumps in ${intervalMs / 1000} s)`
}

function list({ available, passedOver }: KindWays): string {
  const missing = passedOver.map(({ way, why }) => `${way}: ${why}`)
  return [
    available.join(', ') || 'no way at all',
    ...(missing.length > 0 ? [`not ${missing.join(', ')}`] : []),
  ].join('; ')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
