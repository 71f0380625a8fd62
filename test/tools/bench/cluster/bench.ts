import { cpus, loadavg } from 'node:os'
import { install, type Installed } from '../peers'
import { type Absent, brokenPromises, combine, kindsOf, type Outcome } from './figures'
import { measure } from './measure'
import { type Plan, type Turn, turnsOf } from './plan'
import { formatTable, type Row } from './table'
import { Undo } from './undo'
import type { Variant } from './variants'

/**
 * Measures all variants in turn, round by round, and prints one table.
 *
 * @returns Whether this library kept its promises.
 * @throws Interruption when a signal ended it; all has been cleaned up then.
 */
export async function bench(plan: Plan): Promise<boolean> {
  const stop = stopOnSignal()
  const peers = installPeers(plan.variants)
  describeRun(plan)
  const rows = new Map<string, Row>()
  const turns = turnsOf(plan)
  for (const [at, turn] of turns.entries()) {
    const outcome = await take(turn, plan.seconds, peers, stop)
    stop.throwIfAborted()
    addTo(rows, turn, outcome)
    console.error(
      `${at + 1} of ${turns.length}: ${turn.variant.name}, ${turn.profileName}: ${inBrief(outcome)}`,
    )
  }
  console.log(`\n${formatTable([...rows.values()])}\n\nload at the end: ${loadInWords()}`)
  return tellBrokenPromises([...rows.values()], plan.variants)
}

type Peers = ReadonlyMap<string, Installed | Absent>

function installPeers(variants: readonly Variant[]): Peers {
  return new Map([...peersOf(variants)].map((peer) => [peer, install(peer)]))
}

function peersOf(variants: readonly Variant[]): ReadonlySet<string> {
  return new Set(variants.flatMap(({ peer }) => peer ?? []))
}

function describeRun({ seconds, rounds, variants }: Plan): void {
  console.log(`Node ${process.version}, ${cpus().length} cores, ${seconds} s each, rounds: ${rounds}`)
  console.log(`peers: ${[...peersOf(variants)].join(', ') || 'none'}`)
  console.log(`load before: ${loadInWords()}`)
}

async function take(
  { variant, profile }: Turn,
  seconds: number,
  peers: Peers,
  stop: AbortSignal,
): Promise<Outcome> {
  const installed = variant.peer ? peers.get(variant.peer) : undefined
  if (installed && 'reason' in installed) return installed
  const modules = installed?.modules ?? ''
  const undo = new Undo()
  try {
    return await measure({ start: variant.start, modules, profile, seconds, undo, stop })
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) }
  } finally {
    await undo.run()
  }
}

function addTo(rows: Map<string, Row>, { variant: { name }, profileName }: Turn, outcome: Outcome): void {
  const key = `${profileName} ${name}`
  const before = rows.get(key)?.outcome
  const combined = before ? combine(before, outcome) : outcome
  rows.set(key, { variant: name, profile: profileName, outcome: combined })
}

function tellBrokenPromises(rows: readonly Row[], variants: readonly Variant[]): boolean {
  const ours = new Set(variants.filter(({ isOurs }) => isOurs).map(({ name }) => name))
  const broken = rows
    .filter(({ variant }) => ours.has(variant))
    .flatMap(({ profile, outcome }) => brokenPromises(outcome).map((problem) => `${profile}: ${problem}`))
  for (const problem of broken) console.log(`A PROMISE IS BROKEN: ${problem}`)
  return broken.length === 0
}

class Interruption extends Error {
  override readonly name = 'Interruption'

  constructor(
    signal: NodeJS.Signals,
    readonly exitCode: number,
  ) {
    super(`ended by ${signal}`)
  }
}

/** Further signals are ignored: npm passes on the Ctrl-C that the terminal has sent to all, so that it comes twice. */
function stopOnSignal(): AbortSignal {
  const stop = new AbortController()
  process.on('SIGINT', () => stop.abort(new Interruption('SIGINT', 130)))
  process.on('SIGTERM', () => stop.abort(new Interruption('SIGTERM', 143)))
  return stop.signal
}

function inBrief(outcome: Outcome): string {
  if ('reason' in outcome) return outcome.reason
  const { sent, failed, why, replaced, msBelow } = outcome
  const how = failed > 0 ? ` (${kindsOf(why)})` : ''
  return `${failed} of ${sent} failed${how}, ${replaced} replaced, ${Math.round(msBelow)} ms below`
}

function loadInWords(): string {
  return loadavg()
    .map((load) => load.toFixed(2))
    .join(' ')
}
