import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Program } from '../../harness/program'
import { PATIENCE_MS } from '../cluster/http-client'

/** A process that has the turn for heap dumps in a memory cgroup. */
export interface Neighbour {
  /** Resolves when a process there waits for the turn. */
  isWaitedFor(): Promise<void>
  /** Ends it in a way that lets it clean nothing up. */
  kill(): void
}

/** @param procs - The list of processes of the cgroup. */
export async function neighbourWithTurn(t: TestContext, procs: string): Promise<Neighbour> {
  const program = join(__dirname, 'programs/holds-the-turn.js')
  const neighbour = new Program(t, [process.execPath, program, procs])
  const turn = await neighbour.until('the turn', () => neighbour.said[0]?.['turn'])
  const place = `@${String(turn)}/`
  const isWaiting = () => readFileSync('/proc/net/unix', 'utf8').includes(place) || undefined
  return {
    isWaitedFor: async () => {
      await neighbour.until('a place in the queue', isWaiting, { timeoutMs: PATIENCE_MS })
    },
    kill: () => neighbour.kill('SIGKILL'),
  }
}
