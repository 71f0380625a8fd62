import { deliver, progress, type Report, reported, settingInWords } from '../output/report'
import { digits, spreadOf } from '../output/statistics'
import { install } from '../peers'
import { promises, type Row, tablesOf } from './figures'
import { Bench, canPin, type Turn } from './measure'
import { NOTHING, type Variant, VARIANTS } from './variants'

const CAPACITY_TURNS = 3

export interface Plan {
  readonly rounds: number
  /** Of each window. */
  readonly seconds: number
  /** Parts of the names of variants; `nothing` always runs. */
  readonly only?: readonly string[]
  readonly json?: string
}

/** @returns Whether no promise was found broken. */
export async function bench({ rounds, seconds, only, json }: Plan): Promise<boolean> {
  const variants = VARIANTS.filter(
    ({ name }) => !only || name === NOTHING || only.some((part) => name.includes(part)),
  )
  const report = await reported({ rounds, seconds, pinned: canPin() ? 'yes' : 'no' }, () =>
    measureAll(variants, rounds, seconds),
  )
  deliver(report, textOf(report), json)
  return Object.values(promises(report.rows)).every((holds) => holds !== false)
}

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<readonly Row[]>): string {
  const { rounds, seconds, pinned } = parameters
  const cores = pinned === 'yes' ? 'server and load on a core each' : 'SERVER AND LOAD SHARE THE CORES'
  const verdicts = Object.entries(promises(rows)).map(
    ([promise, holds]) =>
      `${holds === undefined ? 'not decided' : holds ? 'holds' : 'DOES NOT HOLD'}: ${promise}`,
  )
  return [
    settingInWords(setting),
    `${rounds} rounds of ${seconds} s for each load, median (least-most); ${cores}`,
    '',
    tablesOf(rows),
    '',
    ...verdicts,
  ].join('\n')
}

async function measureAll(variants: readonly Variant[], rounds: number, seconds: number): Promise<Row[]> {
  const places = new Map(
    variants.map((variant) => [variant, variant.peer ? install(variant.peer) : { modules: '' }]),
  )
  const turns = new Map<Variant, Turn[]>(variants.map((variant) => [variant, []]))
  const problems = new Map<Variant, string>()
  const machine = new Bench(seconds)
  await machine.start()
  try {
    const capacity = await capacityOf(machine, variants)
    progress(`capacity: ${digits(capacity)} requests a second`)
    for (let round = 0; round < rounds; round++) {
      // Each round begins with another one: what a place in the row does meets all of them.
      for (let place = 0; place < variants.length; place++) {
        const variant = variants[(round + place) % variants.length]
        const at = variant && places.get(variant)
        if (!variant || !at || 'reason' in at || problems.has(variant)) continue
        try {
          const turn = await machine.turn(variant, at.modules, capacity)
          turns.get(variant)?.push(turn)
          const { cpuUsPerRequest, p99Ms } = turn.windows[80]
          progress(
            `round ${round + 1} of ${rounds}: ${variant.name}: at 80 % ${digits(cpuUsPerRequest)} us per request, p99 ${digits(p99Ms)} ms`,
          )
        } catch (error) {
          problems.set(variant, error instanceof Error ? error.message : String(error))
          progress(`round ${round + 1} of ${rounds}: ${variant.name}: ${problems.get(variant)}`)
        }
      }
    }
  } finally {
    await machine.end()
  }
  return variants.map((variant) => {
    const { name, watches = false } = variant
    const at = places.get(variant)
    const reason = at && 'reason' in at ? at.reason : problems.get(variant)
    return reason === undefined
      ? { variant: name, watches, turns: turns.get(variant) ?? [] }
      : { variant: name, watches, reason }
  })
}

async function capacityOf(machine: Bench, variants: readonly Variant[]): Promise<number> {
  const nothing = variants.find(({ name }) => name === NOTHING)
  if (!nothing) throw new Error(`there is no variant ${NOTHING}`)
  const each: number[] = []
  for (let turn = 0; turn < CAPACITY_TURNS; turn++) each.push(await machine.capacity(nothing, ''))
  return spreadOf(each).median
}
