import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { messageOf } from '../base/error-text'
import { ownPackageDirectory } from '../capture/own-package'
import { S3_OPTIONS } from '../hooks/s3/declared'
import { describe } from '../options/read'
import { DECLARED_OPTIONS, type DeclaredOption, variableOf } from './declared'
import { type Options, resolveOptions, type Settings } from './options'

/** What is watched when neither a variable nor a configuration says otherwise. */
export const PRELOAD_DEFAULTS: Options = {
  cpu: { threshold: '90%', counter: 3 },
  memory: { threshold: '85%', counter: 3 },
}

/** Variables that are no option. `CMM_DOCTOR` belongs to the command `doctor`. */
const OTHER_VARIABLES = ['CMM_ENABLED', 'CMM_CONFIG', 'CMM_DOCTOR']

type Environment = Readonly<Record<string, string | undefined>>

/** Options as they are put together: all values are checked later. */
type Loose = Record<string, unknown>

/** Options that have variables: the monitor's, and those of what takes its dumps. */
const DECLARED = [...DECLARED_OPTIONS, ...S3_OPTIONS]

/** `uploadTo` of `cpu-memory-monitor/s3`. */
export type UploadTo = (options: unknown) => Options['onDump']

/**
 * Reads the configuration of a monitor that is started without code. `CMM_CONFIG` takes the place of the defaults, each variable
 * goes before both. An empty variable is none.
 *
 * @returns `undefined` when the monitor is switched off.
 * @throws Error that names the variable, for one that does not exist, or has a wrong value.
 */
export function readEnvironment(
  environment: Environment,
  loadUploadTo: () => UploadTo = loadFromPackage,
): Settings | undefined {
  const isOn = environment['CMM_ENABLED'] || 'true'
  if (['false', '0'].includes(isOn)) return undefined
  if (!['true', '1'].includes(isOn))
    throw new Error(`CMM_ENABLED must be true or false; received ${describe(isOn)}`)
  const given = givenOptions(environment)
  const options: Loose = readConfig(environment['CMM_CONFIG'] || undefined)
  // The groups last, so that the order of the variables does not matter.
  const ordered = [
    ...given.filter(({ option }) => !isGroup(option)),
    ...given.filter(({ option }) => isGroup(option)),
  ]
  for (const { option, value } of ordered) put(options, option, value)
  try {
    const { s3, ...ofMonitor } = options
    const onDump = s3 === undefined ? undefined : uploadBy(loadUploadTo(), s3)
    return resolveOptions({ ...ofMonitor, ...(onDump && { onDump }) })
  } catch (error) {
    throw new Error(`${placeOf(given, messageOf(error))}: ${messageOf(error)}`)
  }
}

function uploadBy(uploadTo: UploadTo, options: unknown): Options['onDump'] {
  try {
    return uploadTo(options)
  } catch (error) {
    throw new Error(messageOf(error).replace(/^options\b/, 'options.s3'))
  }
}

/** The file that the application would load itself. This package loads nothing of it otherwise. */
function loadFromPackage(): UploadTo {
  const file = join(ownPackageDirectory(), 'dist', 'hooks', 's3', 'index.js')
  return (createRequire(file)(file) as { uploadTo: UploadTo }).uploadTo
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
    if (!declared) throw new Error(`${name} is not a variable of cpu-memory-monitor`)
    return [{ option: declared.option, value: valueOf(text, declared) }]
  })
}

function valueOf(text: string, { variable }: DeclaredOption): unknown {
  if (variable === 'text') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** JSON itself, or a file of it. */
function readConfig(text: string | undefined): Loose {
  if (text === undefined) return { cpu: { ...PRELOAD_DEFAULTS.cpu }, memory: { ...PRELOAD_DEFAULTS.memory } }
  try {
    const json = text.trimStart().startsWith('{') ? text : readFileSync(text, 'utf8')
    const config: unknown = JSON.parse(json)
    if (typeof config !== 'object' || config === null || Array.isArray(config))
      throw new Error('it must be an object')
    return config as Loose
  } catch (error) {
    throw new Error(`CMM_CONFIG, a JSON file or JSON, cannot be read: ${messageOf(error)}`)
  }
}

/** `CMM_CPU=false` takes the group out, whatever else is given for it; `true` puts it in. */
function put(options: Loose, option: string, value: unknown): void {
  const [group = '', name] = option.split('.')
  if (name !== undefined) options[group] = { ...(options[group] as Loose | undefined), [name]: value }
  else if (isGroup(option) && value === true) options[group] ??= {}
  else if (isGroup(option) && value === false) options[group] = undefined
  else options[group] = value
}

function isGroup(option: string): boolean {
  return option === 'cpu' || option === 'memory'
}

/** The variable whose value an error is about, or that is missing. */
function placeOf(given: readonly Given[], message: string): string {
  const isAbout = (option: string) =>
    new RegExp(`^options\\.${option.replace('.', '\\.')}(?![\\w.])`).test(message)
  const found = given.find(({ option }) => isAbout(option))
  if (found) return variableOf(found.option)
  const isOfS3 = given.some(({ option }) => option.startsWith('s3.'))
  return isOfS3 && isAbout('s3.bucket') ? variableOf('s3.bucket') : 'CMM_CONFIG'
}
