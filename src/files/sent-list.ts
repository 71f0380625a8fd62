import { join } from 'node:path'
import { parseJson } from '../base/globals'
import { readOwn } from './owners'

/** Name of the file in each dump directory that lists the artefacts already uploaded. */
export const SENT_FILE = '.cpu-memory-monitor-sent.json'

/** Largest size of a list of uploaded artefacts that is read, bytes. A larger list counts as empty. */
const MOST_BYTES = 16 * 1024 * 1024

/**
 * Reads which artefacts of a directory were uploaded.
 *
 * @returns File names by destination (endpoint, bucket and prefix); an empty object if there is no list that can be read.
 */
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
