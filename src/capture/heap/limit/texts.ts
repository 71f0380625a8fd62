import { toJson } from '../../../base/globals'
import type { HeapLimitJobFacts } from './job'

/** Longest `refusal` in a plan for V8's heap limit, bytes. The native helper refuses a plan with a longer one. */
export const MOST_REFUSAL_BYTES = 511
/** Longest `facts` in a plan for V8's heap limit, bytes. The native helper refuses a plan with longer ones. */
export const MOST_FACTS_BYTES = 16 * 1024 - 1

const ELLIPSIS = '…'

/** Cuts a text to at most `mostBytes` bytes of UTF-8, never within a character. A text that was cut ends with an ellipsis. */
export function cutToBytes(text: string, mostBytes: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= mostBytes) return text
  let end = mostBytes - Buffer.byteLength(ELLIPSIS)
  // Do not cut within a character: all its bytes but the first begin with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end) + ELLIPSIS
}

/**
 * Returns the input of the code in the child as JSON that fits into a plan for the heap limit. While it is too long, more is
 * left out: first the readings of the flight recorder; then the CPU and memory use by thread; then all other readings but the
 * latest, and the reasons why ways of capturing were passed over.
 */
export function factsText(facts: HeapLimitJobFacts): string {
  const withoutFlight = { ...facts, flight: undefined }
  const withoutMakeup = { ...withoutFlight, makeup: undefined }
  const least = { ...withoutMakeup, readings: facts.readings.slice(-1), passedOver: [] }
  const texts = [facts, withoutFlight, withoutMakeup].map((each) => toJson(each))
  return texts.find((text) => Buffer.byteLength(text) <= MOST_FACTS_BYTES) ?? toJson(least)
}
