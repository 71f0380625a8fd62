import { createRequire } from 'node:module'
import { isAbsolute, join } from 'node:path'
import { codeOf, messageOf } from '../base/globals'
import { loadLate } from '../base/late'
import { ownPackageDirectory } from '../capture/own-package'
import type { FleetPlan } from '../dispatch/fleet'
import type * as trusted from '../files/trusted'
import { S3_OPTIONS } from '../hooks/s3/declared'
import { nearestOf } from '../options/nearest'
import { describe } from '../options/read'
import { DECLARED_OPTIONS, type DeclaredOption, variableOf } from './declared'
import { type Options, resolveOptions, type Settings } from './options'

/** Default options of a monitor that `cpu-memory-monitor/register` starts. Used if the variable `CMM_CONFIG` is absent. */
export const PRELOAD_DEFAULTS: Options = {
  cpu: { threshold: '90%', counter: 3 },
  memory: { threshold: '85%', counter: 3 },
}

/**
 * Variables that are not named after an option: `CMM_ENABLED` switches the monitor on or off, `CMM_CONFIG` holds many options as
 * JSON, and `CMM_DOCTOR` requests a self-check at start, also from a monitor that the application starts by code.
 */
const OTHER_VARIABLES = ['CMM_ENABLED', 'CMM_CONFIG', 'CMM_DOCTOR']

/** Largest size of the file that `CMM_CONFIG` names, bytes. */
const MOST_CONFIG_BYTES = 1024 * 1024

/** Groups of options that the value `true` or `false` switches on or off as a whole. */
const GROUPS: readonly string[] = ['cpu', 'memory']

type Environment = Readonly<Record<string, string | undefined>>

/** Options that were collected from the environment and are not checked yet. */
type Loose = Record<string, unknown>

/** All options of the monitor, of the shared budget in Redis, and of the upload to S3. */
const DECLARED = [...DECLARED_OPTIONS, ...S3_OPTIONS]

/** Type of the function `uploadTo` in `cpu-memory-monitor/s3`. */
export type UploadTo = (options: unknown) => Options['onDump']

/**
 * Reads the options of a monitor that `cpu-memory-monitor/register` starts. The JSON that `CMM_CONFIG` holds or names replaces
 * the defaults. A variable that is named after an option, such as `CMM_KEEP`, then sets this option. An empty variable counts
 * as absent.
 *
 * @param makeFleet - Makes the option `fleet` from the options in the group `redis`.
 * @param loadUploadTo - Loads the function that makes the option `onDump` from the options in the group `s3`.
 * @returns The checked settings; `undefined` if `CMM_ENABLED` switches the monitor off.
 * @throws Error that names the variable, for an unknown variable with the prefix `CMM_` and for a wrong value.
 */
export function readEnvironment(
  environment: Environment,
  makeFleet = redisBudget,
  loadUploadTo: () => UploadTo = loadFromPackage,
): Settings | undefined {
  const isOn = environment['CMM_ENABLED'] || 'true'
  if (['false', '0'].includes(isOn)) return undefined
  if (!['true', '1'].includes(isOn))
    throw new Error(`CMM_ENABLED must be true or false; received ${describe(isOn)}`)
  const given = givenOptions(environment)
  const options: Loose = readConfig(environment['CMM_CONFIG'] || undefined)
  // `CMM_CPU` and `CMM_MEMORY` are applied last, so that `CMM_CPU=false` wins over `CMM_CPU_THRESHOLD` in any order of the two.
  const ordered = [
    ...given.filter(({ option }) => !isGroup(option)),
    ...given.filter(({ option }) => isGroup(option)),
  ]
  for (const { option, value } of ordered) put(options, option, value)
  const { redis, s3, ...ofMonitor } = options
  const onDump = s3 === undefined ? undefined : placed(given, 's3', () => uploadBy(loadUploadTo(), s3))
  const fleet = redis === undefined ? undefined : placed(given, 'redis', () => makeFleet(redis))
  return placed(given, undefined, () =>
    resolveOptions({ ...ofMonitor, ...(fleet && { fleet }), ...(onDump && { onDump }) }),
  )
}

/** Makes the option `fleet` (a shared budget in Redis). Loads `cpu-memory-monitor/redis` only here, as few processes need it. */
function redisBudget(options: unknown): FleetPlan {
  return loadEntry<{ redisBudget(options: unknown): FleetPlan }>('redis').redisBudget(options)
}

function uploadBy(uploadTo: UploadTo, options: unknown): Options['onDump'] {
  try {
    return uploadTo(options)
  } catch (error) {
    throw new Error(messageOf(error).replace(/^options\b/, 'options.s3'))
  }
}

/** Returns the function `uploadTo` of `cpu-memory-monitor/s3`. Loads that module only here, because few processes need it. */
function loadFromPackage(): UploadTo {
  return loadEntry<{ uploadTo: UploadTo }>('s3').uploadTo
}

/** Loads an entry point of this package by its name, such as `redis`: the same file that the application gets by `require`. */
function loadEntry<Entry>(name: string): Entry {
  const file = join(ownPackageDirectory(), 'dist', 'hooks', name, 'index.js')
  return createRequire(file)(file) as Entry
}

interface Given {
  readonly option: string
  readonly value: unknown
}

function givenOptions(environment: Environment): Given[] {
  const byVariable = new Map(
    DECLARED.filter(({ variable }) => variable !== 'none').map((declared) => [
      variableOf(declared.option),
      declared,
    ]),
  )
  return Object.entries(environment).flatMap(([name, text]) => {
    if (!name.startsWith('CMM_') || OTHER_VARIABLES.includes(name) || !text) return []
    const declared = byVariable.get(name)
    if (!declared) throw new Error(unknownVariable(name, [...byVariable.keys(), ...OTHER_VARIABLES]))
    return [{ option: declared.option, value: valueOf(text, declared) }]
  })
}

function unknownVariable(name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known)
  const meant = nearest === undefined ? '' : `; the nearest is ${nearest}`
  return `${name} is not a variable of cpu-memory-monitor${meant}`
}

function valueOf(text: string, { variable }: DeclaredOption): unknown {
  if (variable === 'text') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Returns the options in `CMM_CONFIG`: `text` is JSON, or the path of a file with JSON. Without `text`, returns the defaults. */
function readConfig(text: string | undefined): Loose {
  if (text === undefined) return { cpu: { ...PRELOAD_DEFAULTS.cpu }, memory: { ...PRELOAD_DEFAULTS.memory } }
  try {
    const config = parseConfig(text.trimStart().startsWith('{') ? text : readConfigFile(text))
    if (typeof config !== 'object' || config === null || Array.isArray(config))
      throw new Error('the JSON must be an object')
    return withoutSwitches(config as Loose)
  } catch (error) {
    // The message does not show the path: the user may have put a secret, such as a Redis URL, into `CMM_CONFIG`.
    throw new Error(`CMM_CONFIG (JSON, or the path of a JSON file) cannot be read: ${codeOf(error)}`)
  }
}

/** Replaces `true` for the groups `cpu` and `memory` by `{}` (on, with defaults), and `false` by `undefined` (off). */
function withoutSwitches(config: Loose): Loose {
  const switched = GROUPS.filter((group) => typeof config[group] === 'boolean')
  const groups = switched.map((group) => [group, config[group] === true ? {} : undefined] as const)
  return { ...config, ...Object.fromEntries(groups) }
}

/**
 * Reads the file that `CMM_CONFIG` names. The path must be absolute: child processes inherit the variable and may have a working
 * directory in which another user can create a file with that name.
 */
function readConfigFile(path: string): string {
  if (!isAbsolute(path))
    throw new Error(
      'the path must be absolute, such as /etc/shop/monitor.json, because child processes inherit it',
    )
  // Loaded only here: its imports take milliseconds, and a process without such a file does not need them.
  const { readTrusted } = loadLate(() => require('../files/trusted') as typeof trusted)
  return readTrusted(path, MOST_CONFIG_BYTES)
}

/** Parses JSON. Replaces V8's error for damaged JSON, because that quotes a part of the JSON, which may hold a password. */
function parseConfig(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    const [position = ''] = / at position \d+/.exec(messageOf(error)) ?? []
    throw new Error(`the JSON is damaged${position}`)
  }
}

/** Sets an option in `options`. For a group, `false` (as in `CMM_CPU=false`) removes the whole group, and `true` adds it. */
function put(options: Loose, option: string, value: unknown): void {
  const [group = '', name] = option.split('.')
  if (name !== undefined) options[group] = { ...(options[group] as Loose | undefined), [name]: value }
  else if (isGroup(option) && value === true) options[group] ??= {}
  else if (isGroup(option) && value === false) options[group] = undefined
  else options[group] = value
}

function isGroup(option: string): boolean {
  return GROUPS.includes(option)
}

/**
 * Returns the result of `make`. If that throws, throws an error with the same message after the name of the variable at fault.
 *
 * @param group - Group of options that `make` reads; absent if it reads the options of the monitor.
 */
function placed<Made>(given: readonly Given[], group: 'redis' | 's3' | undefined, make: () => Made): Made {
  try {
    return make()
  } catch (error) {
    throw new Error(`${placeOf(given, group, messageOf(error))}: ${messageOf(error)}`)
  }
}

/**
 * Returns the environment variable that an error message is about, such as `CMM_CPU_THRESHOLD`. If no variable has set the
 * option, returns `CMM_CONFIG`. If variables have set other options of the group and may have caused the error, for example a
 * missing package, returns all variables of the group, such as `CMM_REDIS_*`.
 */
function placeOf(given: readonly Given[], group: string | undefined, message: string): string {
  const isAbout = (option: string) =>
    new RegExp(`^options\\.${option.replace('.', '\\.')}(?![\\w.])`).test(message)
  const found = given.find(({ option }) => isAbout(option))
  if (found) return variableOf(found.option)
  if (group === undefined || !given.some(({ option }) => option.startsWith(`${group}.`))) return 'CMM_CONFIG'
  if (isAbout('s3.bucket')) return variableOf('s3.bucket')
  // `bucket` is required, so it may be missing. Any other wrong option of `s3` that no variable has set comes from `CMM_CONFIG`.
  return message.startsWith('options.s3.') ? 'CMM_CONFIG' : `CMM_${group.toUpperCase()}_*`
}
