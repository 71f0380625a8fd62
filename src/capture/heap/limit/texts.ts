import { toJson } from '../../../base/globals'
import type { HeapLimitJobFacts } from './job'

/** Longest texts that a plan takes, bytes: see `src/native/heap-limit.h`. A plan with a longer one is refused whole. */
export const MOST_REFUSAL_BYTES = 511
export const MOST_FACTS_BYTES = 16 * 1024 - 1

const ELLIPSIS = '…'

/** Cuts a text to so many bytes of UTF-8, between two characters. A text that was cut ends with an ellipsis. */
export function cutToBytes(text: string, mostBytes: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= mostBytes) return text
  let end = mostBytes - Buffer.byteLength(ELLIPSIS)
  // Not within a character: its bytes after the first one begin with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end) + ELLIPSIS
}

/**
 * The facts as JSON that a plan takes. Where they are too long, the parts that describe the process are left out, the
 * longest first: the flight recorder, the threads and their names, all readings but the latest.
 */
export function factsText(facts: HeapLimitJobFacts): string {
  const withoutFlight = { ...facts, flight: undefined }
  const withoutMakeup = { ...withoutFlight, makeup: undefined }
  const least = { ...withoutMakeup, readings: facts.readings.slice(-1), passedOver: [] }
  const texts = [facts, withoutFlight, withoutMakeup].map((each) => toJson(each))
  return texts.find((text) => Buffer.byteLength(text) <= MOST_FACTS_BYTES) ?? toJson(least)
}
