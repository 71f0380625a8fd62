import { join } from 'node:path'
import { parseJson } from '../base/globals'
import { readOwn } from './own'

/** Name of the file in each dump directory that lists the artefacts already uploaded. */
export const SENT_FILE = '.cpu-memory-monitor-sent.json'

/** Largest list of uploaded artefacts that is read, bytes. */
const MOST_BYTES = 16 * 1024 * 1024

/** Reads the list of uploaded artefacts of a directory. @returns Names by destination (bucket, prefix); empty without a list. */
export function readSent(place: string): Record<string, readonly string[]> {
  try {
    const { sent } = parseJson(readOwn(join(place, SENT_FILE), MOST_BYTES) ?? '{}') as { sent?: unknown }
    const entries = Object.entries(Object(sent) as object).filter(([, names]) => isListOfTexts(names))
    return Object.fromEntries(entries)
  } catch {
    return {}
  }
}

function isListOfTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}
