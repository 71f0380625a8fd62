import type { LimiterOption } from '../options/limiter'
import { readMs, readObject } from '../options/read'
import type { RuleSettings } from '../watch/watch'
import { DECLARED_OPTIONS, optionsOf } from './declared'
import { readCpuThreshold, readMemoryThreshold, type Settings, type Threshold } from './options'
import { changeRules, changesOf, refuseFixed } from './rules'

/** Options of a rule that can be changed while the monitor runs. An option that is absent stays as it is. */
export interface RuleUpdate {
  /** New threshold, in the form of the rule's option `threshold`. */
  threshold?: number | string | undefined
  /** New number of readings in a row above the threshold that trigger a dump. */
  counter?: number | undefined
  /**
   * New budget, in the form of the option `limiter`. If it differs from the present one, a new interval begins, in which dumps of
   * the current interval still count.
   */
  limiter?: LimiterOption | undefined
}

/** Argument of `update()`: the rules to change, each with its new options. */
export interface Update {
  /** Changes to the watch of CPU use. `duration`: new length of a CPU profile, ms, a whole number from 1 to 2147483647. */
  cpu?: (RuleUpdate & { duration?: number | undefined }) | undefined
  /** Changes to the watch of memory use. */
  memory?: RuleUpdate | undefined
  /** Changes to rules of the option `rules`, each with the name of its rule. A rule that is absent stays as it is. */
  rules?: readonly (RuleUpdate & { name: string })[] | undefined
}

const LIVE_OPTIONS = DECLARED_OPTIONS.filter(({ isLive }) => isLive)

/**
 * Checks the argument of `update()` and returns the settings with its changes. The given settings stay as they are.
 *
 * @returns The settings after the update.
 * @throws TypeError for a wrong type, and for an option that does not exist or cannot be changed while the monitor
 * runs.
 * @throws RangeError for a value outside its range.
 * @throws Error for a kind that is not watched.
 */
export function resolveUpdate(update: Update, settings: Settings): Settings {
  const given = readObject(update, 'update', ['cpu', 'memory', 'rules'])
  const cpu = readKind(given['cpu'], 'cpu', settings.cpu.rule, readCpuThreshold)
  const memory = readKind(given['memory'], 'memory', settings.memory.rule, readMemoryThreshold)
  const profileDurationMs = readMs(
    cpu?.given['duration'],
    'options.cpu.duration',
    settings.cpu.profileDurationMs,
  )
  return {
    ...settings,
    cpu: { ...settings.cpu, profileDurationMs, rule: cpu?.rule ?? settings.cpu.rule },
    memory: { ...settings.memory, rule: memory?.rule ?? settings.memory.rule },
    rules: changeRules(given['rules'], settings.rules),
  }
}

function readKind(
  value: unknown,
  kind: 'cpu' | 'memory',
  rule: RuleSettings<Threshold> | undefined,
  readThreshold: (value: unknown) => Threshold,
): { readonly given: Record<string, unknown>; readonly rule: RuleSettings<Threshold> } | undefined {
  if (value === undefined) return undefined
  if (!rule) throw new Error(`${kind} is not watched by this monitor, so nothing of it can be changed`)
  const name = `options.${kind}`
  const given = readObject(value, name, optionsOf(kind))
  refuseFixed(name, given, optionsOf(kind, LIVE_OPTIONS))
  return { given, rule: { ...rule, ...changesOf(rule, given, name, readThreshold) } }
}
