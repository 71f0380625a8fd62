import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FleetAnswer } from '../../../../src/dispatch/fleet'
import { MAX_AWAY_MS, MAX_REFUSED_MS, type Store, StoreFleet } from '../../../../src/hooks/redis/fleet'

const hour = 3_600_000
const budgets = {
  cpu: { tokensPerInterval: 3, intervalMs: hour },
  memory: { tokensPerInterval: 2, intervalMs: hour },
}

/** A store that answers as the test has set it: `true` for a token, an error for none. */
function scene({ insurance, random = 0 }: { insurance?: number; random?: number } = {}) {
  const told: string[] = []
  const asked: string[] = []
  const stage = { nowMs: 1000, answer: true as boolean | Error, renewsInMs: hour }
  const store: Store = {
    take(kind) {
      asked.push(kind)
      const { answer, renewsInMs } = stage
      return typeof answer === 'boolean'
        ? Promise.resolve({ isTaken: answer, renewsInMs })
        : Promise.reject(answer)
    },
    giveBack(kind) {
      asked.push(`${kind} back`)
      return stage.answer instanceof Error ? Promise.reject(stage.answer) : Promise.resolve()
    },
  }
  const fleet = new StoreFleet({
    ...{ budgets, insurance, store, timeoutMs: 1000, place: 'redis:6379' },
    report: {
      failure: ({ stage: at, message, error }) => {
        told.push(`${at}: ${message}`)
        // A client's error can hold the password.
        assert.equal(error, undefined)
      },
      notice: (line) => told.push(line),
    },
    now: () => stage.nowMs,
    random: () => random,
  })
  return { stage, fleet, told, asked }
}

const isToken = (answer: FleetAnswer) => 'giveBack' in answer

describe('while the store answers', () => {
  test('a token is a token', async () => {
    const { fleet, told } = scene()
    assert.equal(fleet.refusal('cpu'), undefined)
    assert.ok(isToken(await fleet.take('cpu')))
    assert.deepEqual([fleet.refusal('cpu'), told], [undefined, []])
  })

  test('a refusal has the budget and the time until it is renewed', async () => {
    const { fleet, stage } = scene()
    Object.assign(stage, { answer: false, renewsInMs: 1_200_000 })
    const refused = { tokensPerInterval: 2, intervalMs: hour, renewsInMs: 1_200_000 }
    assert.deepEqual(await fleet.take('memory'), { refused })
    stage.nowMs += 60_000
    assert.deepEqual(fleet.refusal('memory'), { ...refused, renewsInMs: 1_140_000 })
  })

  test('a refusal holds for its kind alone', async () => {
    const { fleet, stage } = scene()
    stage.answer = false
    await fleet.take('memory')
    assert.ok(fleet.refusal('memory'))
    assert.equal(fleet.refusal('cpu'), undefined)
  })

  test('it is remembered for minutes, in which a token may have come back, or until the budget is renewed', async () => {
    for (const [random, renewsInMs, forMs] of [
      [0, hour, MAX_REFUSED_MS / 2],
      [0.5, hour, (MAX_REFUSED_MS * 3) / 4],
      [0, 20_000, 20_000],
      // A twentieth of the interval is the spread of those that wait for one renewal.
      [0.5, 20_000, 20_000 + hour / 40],
    ] as const) {
      const { fleet, stage } = scene({ random })
      Object.assign(stage, { answer: false, renewsInMs })
      await fleet.take('cpu')
      stage.nowMs += forMs - 1
      assert.ok(fleet.refusal('cpu'))
      stage.nowMs += 1
      assert.equal(fleet.refusal('cpu'), undefined)
    }
  })

  test('a budget of 0 refuses without a question', () => {
    const { asked } = scene()
    const fleet = new StoreFleet({
      budgets: { ...budgets, cpu: { tokensPerInterval: 0, intervalMs: hour } },
      ...{ insurance: undefined, timeoutMs: 1000, place: '', now: () => 0, random: () => 0 },
      store: { take: () => assert.fail('asked'), giveBack: () => assert.fail('asked') },
      report: { failure: () => undefined, notice: () => undefined },
    })
    assert.deepEqual(fleet.refusal('cpu'), { tokensPerInterval: 0, intervalMs: hour })
    assert.deepEqual(asked, [])
  })

  test('a token goes back to the interval that it came from, and not where it could come to the next', async () => {
    const { fleet, stage, asked } = scene()
    stage.renewsInMs = 5000
    const [first, second] = [await fleet.take('cpu'), await fleet.take('cpu')]
    stage.nowMs += 3999
    if ('giveBack' in first) first.giveBack()
    stage.nowMs += 1
    if ('giveBack' in second) second.giveBack()
    assert.deepEqual(asked, ['cpu', 'cpu', 'cpu back'])
  })
})

describe('while it does not', () => {
  const gone = new Error('connect ECONNREFUSED')

  test('the budget of the process decides, and that is told once', async () => {
    const { fleet, stage, told } = scene()
    stage.answer = gone
    for (let times = 0; times < 3; times++) {
      assert.ok(isToken(await fleet.take('cpu')))
      stage.nowMs += MAX_AWAY_MS
    }
    assert.deepEqual(told, [
      'fleet: the shared dump budget in Redis at redis:6379 cannot be used: connect ECONNREFUSED; ' +
        'until it can, only the own limiter of each process limits its dumps',
    ])
  })

  test('it is told once that it is back, and the next absence anew', async () => {
    const { fleet, stage, told } = scene()
    for (const answer of [gone, true, true, gone, false]) {
      stage.answer = answer
      await fleet.take('memory')
      stage.nowMs += MAX_AWAY_MS
    }
    assert.deepEqual(
      told.map((line) => /cannot be used|used again/.exec(line)?.[0]),
      ['cannot be used', 'used again', 'cannot be used', 'used again'],
    )
  })

  test('it is left alone for some seconds, for both kinds', async () => {
    const { fleet, stage, asked } = scene()
    stage.answer = gone
    await fleet.take('cpu')
    stage.nowMs += MAX_AWAY_MS / 2 - 1
    assert.ok(isToken(await fleet.take('memory')))
    assert.deepEqual(asked, ['cpu'])
    stage.nowMs += 1
    await fleet.take('memory')
    assert.deepEqual(asked, ['cpu', 'memory'])
  })

  test('an insurance of 1 is one dump of each kind', async () => {
    const { fleet, stage, told } = scene({ insurance: 1 })
    stage.answer = gone
    const uninsured = { insurance: 1, intervalMs: hour }
    assert.ok(isToken(await fleet.take('cpu')))
    assert.deepEqual(await fleet.take('cpu'), { refused: uninsured })
    assert.deepEqual(fleet.refusal('cpu'), uninsured)
    assert.equal(fleet.refusal('memory'), undefined)
    assert.ok(isToken(await fleet.take('memory')))
    assert.match(told.join(), /until it can, each process makes at most 1 dumps of each kind per interval$/)
  })

  test('an insurance of 0 refuses, until the store answers', async () => {
    const { fleet, stage } = scene({ insurance: 0 })
    stage.answer = gone
    assert.deepEqual(await fleet.take('cpu'), { refused: { insurance: 0, intervalMs: hour } })
    stage.nowMs += MAX_AWAY_MS
    stage.answer = true
    assert.equal(fleet.refusal('cpu'), undefined)
    assert.ok(isToken(await fleet.take('cpu')))
  })

  test('a token of the insurance does not go to the store, and one that cannot go back harms nobody', async () => {
    const { fleet, stage, asked, told } = scene()
    const token = await fleet.take('cpu')
    stage.answer = gone
    if ('giveBack' in token) token.giveBack()
    const insured = await fleet.take('cpu')
    if ('giveBack' in insured) insured.giveBack()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(asked, ['cpu', 'cpu back', 'cpu'])
    assert.equal(told.length, 1)
  })
})

describe('without a store, because the thread that asked it has died', () => {
  for (const [insurance, decides] of [
    [undefined, 'only the own limiter of this process limits its dumps'],
    [1, 'this process makes at most 1 dumps of each kind per interval'],
  ] as const)
    test(`insurance ${insurance}: decides alone for good, and says so once`, async () => {
      const told: string[] = []
      const stage = { nowMs: 0 }
      const fleet = new StoreFleet({
        ...{ budgets, insurance, store: undefined, timeoutMs: 1000, place: 'redis:6379' },
        ...{ now: () => stage.nowMs, random: () => 0 },
        report: {
          failure: ({ stage: at, message }) => told.push(`${at}: ${message}`),
          notice: (line) => told.push(line),
        },
      })
      const answers: boolean[] = []
      for (let time = 0; time < 3; time++) {
        const answer = fleet.refusal('cpu') === undefined && (await fleet.take('cpu'))
        if (answer && 'giveBack' in answer) answer.giveBack()
        answers.push(answer !== false && isToken(answer))
        stage.nowMs += 2 * MAX_AWAY_MS
      }
      assert.deepEqual(answers, insurance === undefined ? [true, true, true] : [true, false, false])
      assert.deepEqual(told, [
        'fleet: the shared dump budget in Redis at redis:6379 is no longer asked by this process, because the thread ' +
          `that asked it has ended, perhaps because of an answer of Redis; from now on ${decides}`,
      ])
    })
})
