import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Store, type StoreAnswer, StoreFleet } from '../../../../src/hooks/redis/fleet'

const PODS = 1000
const HOUR_MS = 3_600_000
/** Each pod trips this often, ms: a bad release stays above its threshold. */
const TRIP_MS = 20_000
const BUDGET = { tokensPerInterval: 3, intervalMs: HOUR_MS }

/** What the script does in Redis, by plain calls. */
class ScriptedStore implements Store {
  isAway = false
  questions: number[] = []
  #taken = 0
  #endsAtMs = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  take(): Promise<StoreAnswer> {
    this.questions.push(this.#now())
    if (this.isAway) return Promise.reject(new Error('away'))
    if (this.#now() >= this.#endsAtMs) this.lose()
    if (this.#endsAtMs === 0) this.#endsAtMs = this.#now() + HOUR_MS
    const isTaken = this.#taken < BUDGET.tokensPerInterval
    if (isTaken) this.#taken++
    return Promise.resolve({ isTaken, renewsInMs: this.#endsAtMs - this.#now() })
  }

  giveBack(): Promise<void> {
    if (this.#now() < this.#endsAtMs && this.#taken > 0) this.#taken--
    return Promise.resolve()
  }

  lose() {
    this.#taken = 0
    this.#endsAtMs = 0
  }
}

interface Release {
  readonly hours: number
  readonly insurance?: number
  /** When the store is away, ms since the release. */
  readonly isAway?: (atMs: number) => boolean
  /** Whether the dump with that number fails. */
  readonly fails?: (dump: number) => boolean
}

/** All pods run a bad release from the same moment on. */
async function release({ hours, insurance, isAway = () => false, fails = () => false }: Release) {
  let nowMs = 0
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const store = new ScriptedStore(() => nowMs)
  const told: string[] = []
  const report = { failure: () => told.push('away'), notice: () => told.push('back') }
  const budgets = { cpu: BUDGET, memory: BUDGET }
  const now = () => nowMs
  const pods = Array.from(
    { length: PODS },
    () => new StoreFleet({ budgets, insurance, store, timeoutMs: 1000, place: '', report, now, random }),
  )
  const dumps: { readonly atMs: number; readonly isGood: boolean }[] = []
  for (; nowMs < hours * HOUR_MS; nowMs += TRIP_MS) {
    store.isAway = isAway(nowMs)
    for (const pod of pods) {
      if (pod.refusal('cpu')) continue
      const answer = await pod.take('cpu')
      if (!('giveBack' in answer)) continue
      const isGood = !fails(dumps.length)
      dumps.push({ atMs: nowMs, isGood })
      if (!isGood) answer.giveBack()
    }
  }
  return { dumps, told, questions: store.questions }
}

test('a thousand pods make three dumps an hour between them', async () => {
  const { dumps, told, questions } = await release({ hours: 3 })
  assert.equal(dumps.length, 9)
  const hours = [0, 1, 2].map((hour) => dumps.filter(({ atMs }) => Math.floor(atMs / HOUR_MS) === hour))
  assert.deepEqual(
    hours.map(({ length }) => length),
    [3, 3, 3],
  )
  assert.deepEqual(told, [])
  // Each pod asks every 150 to 300 s.
  assert.ok(questions.length / PODS / 3 <= 24, `${questions.length} questions`)
})

test('after the first moment they do not ask in one', async () => {
  const { questions } = await release({ hours: 2 })
  const perTrip = new Map<number, number>()
  for (const atMs of questions) perTrip.set(atMs, (perTrip.get(atMs) ?? 0) + 1)
  perTrip.delete(0)
  assert.ok(Math.max(...perTrip.values()) < PODS / 4, `${Math.max(...perTrip.values())} at once`)
})

test('dumps that fail do not use up the budget', async () => {
  const { dumps } = await release({ hours: 1, fails: (dump) => dump < 4 })
  assert.deepEqual(
    dumps.map(({ isGood }) => isGood),
    [false, false, false, false, true, true, true],
  )
})

test('while the store is away each pod has its insurance and no more, and hears of it once', async () => {
  const isAway = (atMs: number) => atMs < HOUR_MS / 2
  const { dumps, told } = await release({ hours: 1, insurance: 1, isAway })
  assert.equal(dumps.filter(({ atMs }) => isAway(atMs)).length, PODS)
  assert.equal(dumps.filter(({ atMs }) => !isAway(atMs)).length, 3)
  assert.deepEqual([told.filter((line) => line === 'away').length, told.length], [PODS, 2 * PODS])
})

test('an insurance of 0 makes none', async () => {
  const { dumps } = await release({ hours: 0.5, insurance: 0, isAway: () => true })
  assert.equal(dumps.length, 0)
})
