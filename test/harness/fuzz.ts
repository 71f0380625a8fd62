import assert from 'node:assert/strict'
import fc from 'fast-check'

/** Times the runs of a property: `npm run accept -- fuzz` has many. */
const FACTOR = Number(process.env.CMM_FUZZ_FACTOR ?? 1)
/** Replays: fast-check names the seed of a failure. */
const SEED = process.env.CMM_FUZZ_SEED

/** fast-check's parameters for a number of runs, of which `npm run accept -- fuzz` makes more. */
export function runs(count: number): Pick<fc.Parameters, 'numRuns' | 'seed'> {
  return { numRuns: Math.ceil(count * FACTOR), ...(SEED !== undefined && { seed: Number(SEED) }) }
}

/** What a field may hold in a hostile or a broken file. */
const ODD: readonly unknown[] = [
  ...[null, true, false, '', 'text', [], {}, [null], [[]], { name: 1 }],
  ...[0, -0, -1, 1, 0.5, 7, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e308, -1e308],
  ...['__proto__', 'constructor', 'toString', '\u001b[2J\u0007', '\ud800', 'a\nb', '\u202e'],
  ...['x'.repeat(5000), '</script><img src=x onerror=1>', '<!--', '9'.repeat(400)],
  JSON.parse('{ "__proto__": { "polluted": true } }'),
  JSON.parse('['.repeat(2000) + ']'.repeat(2000)),
]

/** Any JSON, with a bias to what breaks programs. */
export const anyJson: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(...ODD), fc.jsonValue())

interface Place {
  readonly holder: Record<string, unknown>
  readonly key: string
}

/** The sample with one to four of its values replaced or removed, so that most of it stays as it should be. */
export function alterations<T>(sample: T): fc.Arbitrary<T> {
  const change = fc.record({ at: fc.nat(), value: anyJson, isRemoved: fc.boolean() })
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const copy = structuredClone(sample)
    for (const { at, value, isRemoved } of changes) {
      const places = placesOf(copy)
      const { holder, key } = places[at % places.length] ?? assert.fail('nothing to alter')
      if (isRemoved && value === null) delete holder[key]
      // A copy, because a later change may be within it: a value of ODD would stay changed, or come to hold itself.
      else holder[key] = structuredClone(value)
    }
    return copy
  })
}

/** The text with bytes of it overwritten, doubled or cut off. */
export function damages(text: string): fc.Arbitrary<Buffer> {
  const bytes = Buffer.from(text)
  const place = fc.nat(bytes.length - 1)
  return fc.oneof(
    place.map((at) => bytes.subarray(0, at + 1)),
    fc
      .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 8 }))
      .map(([at, other]) => Buffer.concat([bytes.subarray(0, at), other, bytes.subarray(at + other.length)])),
    fc
      .tuple(place, place)
      .map(([one, other]) => Buffer.concat([bytes.subarray(0, one), bytes.subarray(Math.min(one, other))])),
  )
}

/** Fails when a property has appeared on all objects. */
export function assertNotPolluted(): void {
  assert.deepEqual(Object.keys(Object.prototype), [])
  assert.ok(!('polluted' in {}))
}

/** At most 500 of them, and not below more than a few levels: an odd value may be deep. */
function placesOf(value: unknown, depth = 0, found: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null || depth > 8) return found
  const holder = value as Record<string, unknown>
  for (const key of Object.keys(holder)) {
    if (found.length >= 500) break
    found.push({ holder, key })
    placesOf(holder[key], depth + 1, found)
  }
  return found
}
