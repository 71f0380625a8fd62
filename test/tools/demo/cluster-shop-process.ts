import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ClusterStats, WorkerEnd, WorkerMemory } from '../../../dist/cluster/index.js'

const ENDING_MS = 15_000

/** What the shop's primary tells. */
export type ClusterNews =
  | { readonly name: 'port'; readonly event: number }
  | { readonly name: 'stats'; readonly event: ClusterStats }
  | { readonly name: 'over' | 'recycle'; readonly event: WorkerMemory }
  | { readonly name: 'recycled'; readonly event: WorkerMemory & WorkerEnd & { readonly ms: number } }
  | { readonly name: 'crash'; readonly event: WorkerEnd & { readonly pid: number } }

export interface ClusterShop {
  /** Resolves to the port that all workers share. */
  readonly port: Promise<number>
  /** Drains all workers and waits until the last process is gone; ends the primary by force if that takes too long. */
  close(): Promise<void>
  /** Without its primary each worker finishes what it has and goes. */
  kill(): void
}

/** Opens the shop in processes of its own: a primary and `count` workers. */
export function openClusterShop(
  limit: string,
  count: number,
  onNews: (news: ClusterNews) => void,
): ClusterShop {
  const primary = fork(join(__dirname, 'cluster-shop.js'), [limit, String(count)], { execArgv: [] })
  const ended = once(primary, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const port = new Promise<number>((resolve, reject) => {
    primary.on('message', (news: ClusterNews) => {
      if (news.name === 'port') resolve(news.event)
      onNews(news)
    })
    void ended.then(([code, signal]) =>
      reject(new Error(`the shop ended early: ${signal ?? `code ${code}`}`)),
    )
  })
  port.catch(() => undefined) // Nobody may be waiting when it ends.

  return {
    port,
    async close() {
      const timer = setTimeout(() => primary.kill('SIGKILL'), ENDING_MS)
      if (primary.connected) primary.send('close')
      await ended
      clearTimeout(timer)
    },
    kill: () => void primary.kill('SIGKILL'),
  }
}
