import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../../src/monitor/options'
import { resolveUpdate } from '../../../src/monitor/update'

const OPTIONS = { cpu: { threshold: 60, counter: 3, duration: 5000 }, memory: { threshold: '85%' } }

test('what is given changes, the rest stays', () => {
  const settings = resolveOptions(OPTIONS)
  const updated = resolveUpdate({ cpu: { threshold: '80%', limiter: [9, 'day'] } }, settings)
  const expected = resolveOptions({
    ...OPTIONS,
    cpu: { ...OPTIONS.cpu, threshold: '80%', limiter: [9, 'day'] },
  })
  assert.deepEqual(updated, expected)
  assert.deepEqual(resolveUpdate({}, settings), settings)
  assert.equal(resolveUpdate({ cpu: { duration: 7 } }, settings).cpu.profileDurationMs, 7)
})

test('what is wrong, fixed or not watched is refused by name', () => {
  const wrong: readonly [object, RegExp, ErrorConstructor][] = [
    [{ cpu: { threshold: -1 } }, /^options\.cpu\.threshold must be/, RangeError],
    [{ cpu: { counter: 'three' } }, /^options\.cpu\.counter must be/, TypeError],
    [{ cpu: { treshold: 5 } }, /^options\.cpu\.treshold is not an option/, TypeError],
    [
      { cpu: { interval: 5 } },
      /^options\.cpu\.interval cannot be changed .* takes threshold, counter, limiter, duration$/,
      TypeError,
    ],
    [{ memory: { sampling: false } }, /^options\.memory\.sampling cannot be changed/, TypeError],
    [{ signal: false }, /^update\.signal is not an option; update takes cpu, memory$/, TypeError],
  ]
  const settings = resolveOptions(OPTIONS)
  for (const [update, message, type] of wrong)
    assert.throws(
      () => resolveUpdate(update, settings),
      (error: Error) => error.constructor === type && message.test(error.message),
    )
  assert.throws(
    () => resolveUpdate({ memory: {} }, resolveOptions({ cpu: {} })),
    /^Error: memory is not watched/,
  )
})
