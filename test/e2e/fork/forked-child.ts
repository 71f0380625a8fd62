import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type App, artefacts, files } from '../monitor/app'

/** The name that a forked child bears, in /proc and in `ps`. */
const NAME = 'heap-snapshot'

/** Pids of the forked children of that process; a child whose parent has died belongs to another. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [, name, rest = ''] = /\((.*)\)(.*)/s.exec(statOf(pid)) ?? []
      const [, state, parentPid] = rest.split(' ')
      return name === NAME && state !== 'Z' && Number(parentPid) === parent
    })
}

/** Resolves when the program has a forked child. */
export async function untilForked(app: Pick<App, 'pid'>): Promise<number> {
  return until(() => childrenOf(app.pid)[0], 'a forked child')
}

/**
 * Resolves when a forked child has written the sampling profile and works on the snapshot. Until then it may meet a thread of V8's
 * that was not forked with it and end, as a few of a hundred do on a busy machine; the application forks again, if it is still there.
 */
export async function untilAtWork(app: Pick<App, 'pid' | 'directory'>): Promise<number> {
  return until(() => {
    const hasProfile = artefacts(app).some((name) => name.endsWith('.heapprofile'))
    return hasProfile ? childrenOf(app.pid)[0] : undefined
  }, 'a child at work on the snapshot')
}

/** Resolves when a dump is whole and nothing half is left; with the names of the artefacts. */
export async function untilWhole(app: Pick<App, 'directory'>): Promise<string[]> {
  return until(() => {
    const found = artefacts(app)
    return found.some((name) => name.endsWith('.heapsnapshot')) && files(app, '.partial').length === 0
      ? found
      : undefined
  }, 'a whole snapshot')
}

export function isRunning(pid: number): boolean {
  return statOf(pid) !== '' && !/\) Z /.test(statOf(pid))
}

export async function until<T>(look: () => T | undefined, what: string): Promise<T> {
  for (let round = 0; round < 3000; round++) {
    const found = look()
    if (found !== undefined) return found
    await sleep(10)
  }
  throw new Error(`did not come: ${what}`)
}

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}
