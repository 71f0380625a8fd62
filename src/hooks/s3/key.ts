// Builds the S3 keys and the metadata of an artefact (a dump file).

import type { ParsedName } from '../../files/names'

export const DEFAULT_KEY = '<prefix>/<host>/<pid>-<ms>-<name>'

/** Placeholders that a template of keys may contain, in angle brackets. */
export const KEY_PARTS = ['prefix', 'host', 'service', 'kind', 'rule', 'pid', 'ms', 'name'] as const

/**
 * Placeholders that a template must contain, so that no two dump files get the same key. Without `<host>` they could, because in
 * containers all processes have the same pid and may dump in the same ms.
 */
const NEEDED_PARTS = ['name', 'host'] as const

/** Length to which each metadata value is cut, characters. S3 allows 2 KiB for all metadata of an object. */
const MOST_METADATA_LENGTH = 400

/** S3 keys of a compressed artefact and of its sidecar, the `.json` that describes it. */
export interface Keys {
  readonly artefact: string
  /** The sidecar is uploaded last: if this key exists, the artefact is complete. */
  readonly sidecar: string
}

/** The template of keys, and the values that all artefacts of a process share. */
export interface KeySource {
  readonly template: string
  readonly prefix: string
  readonly host: string
  readonly service: string
}

interface Destination extends Pick<KeySource, 'template' | 'prefix'> {
  readonly bucket: string
  readonly endpoint: string | undefined
}

export function keysOf({ template, prefix, host, service }: KeySource, name: ParsedName): Keys {
  const { kind, rule, pid, startedAtMs: ms, artefact } = name
  const parts: Record<(typeof KEY_PARTS)[number], string> = {
    ...{ prefix: plainPath(prefix), host: plain(host), service: plain(service) },
    ...{ kind, rule, pid: String(pid), ms: String(ms), name: artefact },
  }
  const filled = template.replace(/<(\w+)>/g, (_whole, part: keyof typeof parts) => parts[part])
  // Drop empty path segments, which empty values leave.
  const base = filled.split('/').filter(Boolean).join('/')
  return { artefact: `${base}.gz`, sidecar: `${base}.json` }
}

/**
 * Returns the bucket, the prefix (if all keys begin with it) and the host of `endpoint`, as text for log lines. The rest of
 * `endpoint` is left out, because it may contain a password.
 */
export function placeOf({ bucket, prefix, template, endpoint }: Destination): string {
  const levels = template.startsWith('<prefix>') ? plainPath(prefix).split('/').filter(Boolean) : []
  const at = endpoint === undefined ? '' : ` at ${new URL(endpoint).host}`
  return `s3://${[bucket, ...levels].join('/')}${at}`
}

/** Validates a template of keys. @returns Why the template cannot be used; `undefined` when it can. */
export function whyNoTemplate(template: string): string | undefined {
  const names = [...template.matchAll(/<([^>]*)>/g)].map(([, name = '']) => name)
  const unknown = names.find((name) => !(KEY_PARTS as readonly string[]).includes(name))
  if (unknown !== undefined)
    return `<${unknown}> is not one of ${KEY_PARTS.map((part) => `<${part}>`).join(', ')}`
  const missing = NEEDED_PARTS.find((part) => !names.includes(part))
  return missing && `without <${missing}> one dump file could overwrite another`
}

/** Converts metadata to values that HTTP headers allow: one line of ASCII each. Long values are cut, empty ones omitted. */
export function metadataOf(entries: Readonly<Record<string, string>>): Record<string, string> {
  const plainEntries = Object.entries(entries).map(([name, text]) => {
    const line = text.replace(/[^\x20-\x7e]+/g, '?').trim()
    return [name, line.slice(0, MOST_METADATA_LENGTH)] as const
  })
  return Object.fromEntries(plainEntries.filter(([, text]) => text !== ''))
}

function plainPath(path: string): string {
  return path.split('/').map(plain).join('/')
}

/** Replaces characters that are unsafe in keys or URLs, and the names `.` and `..`, which some clients treat as directories. */
function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+$/, '_')
}
