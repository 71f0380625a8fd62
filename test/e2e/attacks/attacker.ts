import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { compileTo, noCompiler } from '../../harness/compiler'
import { evil, noSecondUser } from './second-user'

/** What the attacker reports when it is called off. */
export interface Loot {
  /** How often it tried, and how often the file system let it. */
  readonly tries: number
  readonly hits: number
  /** What was written into files and FIFOs of its own. */
  readonly bytes: number
}

/** By `npm run accept -- attacks`. */
export const isLong = process.env['CMM_ATTACK_ROUNDS'] !== undefined

/** Tests of `npm test` that mostly wait run side by side; races that are run over and over have the machine for themselves. */
export const SIDE_BY_SIDE = isLong ? 1 : 3

/**
 * How often a race is run: here a few times, by `npm run accept -- attacks` many times.
 *
 * @param share - Part of the many rounds of a row that this test has: more for a dump that is made in no time.
 */
export function roundsOr(few: number, share: number): number {
  return isLong ? Math.ceil(Number(process.env['CMM_ATTACK_ROUNDS']) * share) : few
}

/** Programs in C are compiled once for a test file. */
const compiled = mkdtempSync(join(tmpdir(), 'attacker-'))
chmodSync(compiled, 0o755)
process.once('exit', () => rmSync(compiled, { recursive: true, force: true }))

/** Compiles a program of the folder `programs`. */
export function compile(source: string, output: string, ...flags: string[]): string {
  const file = join(compiled, output)
  compileTo(file, join(__dirname, 'programs', source), '-O2', ...flags)
  return file
}

/** For the `skip` of a test that has an attacker. */
export const noAttacker = noSecondUser || noCompiler

let attacker: string | undefined

/** Starts the attacker as the second user; it waits already when this resolves. */
export async function attack(t: TestContext, ...args: string[]): Promise<{ end(): Promise<Loot> }> {
  attacker ??= compile('attacker.c', 'attacker')
  const { uid, gid } = evil()
  const child = spawn(attacker, args, { uid, gid, stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const kill = (): boolean => child.kill('SIGKILL')
  t.after(kill)
  const [ready] = (await once(child.stdout, 'data')) as [Buffer]
  assert.equal(String(ready), 'ready\n')
  const output = text(child.stdout)
  return {
    async end() {
      child.stdin.end()
      const loot = await output
      await ended
      return JSON.parse(loot) as Loot
    },
  }
}

/** As long as the attacker was late in all rounds, a race has this many more. */
const MORE_ROUNDS = 10

/** In the reason of a round in which the service did not answer. */
export const HUNG = 'no answer'

/**
 * Runs a race over and over. A round gives what was lost in it, or nothing; a round that the attacker missed proves nothing.
 *
 * @param race - Gives `undefined` when all held, or what did not.
 */
export async function race(
  t: TestContext,
  rounds: number,
  run: (round: number) => Promise<{ loot: Loot; lost: string | undefined }>,
): Promise<void> {
  const lost: string[] = []
  let missed = 0
  let round = 0
  // What hangs once hangs on: the rounds after it would prove nothing.
  const isDone = (): boolean =>
    round >= rounds && (missed < round || round >= rounds + MORE_ROUNDS)
      ? true
      : lost.some((reason) => reason.includes(HUNG))
  for (; !isDone(); round++) {
    const result = await run(round)
    if (result.lost !== undefined) lost.push(`round ${round}: ${result.lost}`)
    if (result.loot.tries === 0) missed++
  }
  t.diagnostic(
    `${t.name}: ${round - lost.length} of ${round} rounds held, the attacker was late in ${missed}`,
  )
  assert.deepEqual(lost, [])
  assert.ok(missed < round, 'the attacker was late in every round')
}
