import assert from 'node:assert/strict'

/**
 * Checks that dumps are within a budget whose intervals follow each other: within the time of one they touch two at most, so that
 * of the dumps, in the order of their starts, each and the one that comes twice the tokens later are an interval apart.
 *
 * @param lateMs - The longest time between a token and the start of its dump.
 */
export function expectAtMost(dumps, { tokens, intervalMs, lateMs }) {
  const starts = dumps.map(({ startedAtMs }) => startedAtMs).sort((one, other) => one - other)
  starts.slice(2 * tokens).forEach((start, at) => {
    const spanMs = start - starts[at]
    assert.ok(
      spanMs > intervalMs - lateMs,
      `${2 * tokens + 1} dumps within ${spanMs} ms, at ${tokens} in ${intervalMs} ms: ${JSON.stringify(dumps)}`,
    )
  })
}
