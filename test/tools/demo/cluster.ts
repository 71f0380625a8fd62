// npm run demo:cluster: a shop in three processes leaks under load, and each process is replaced without losing a request.
import { setTimeout as pause } from 'node:timers/promises'
import type { ClusterStats, WorkerStats } from '../../../dist/cluster/index.js'
import { type Customers, sendCustomers } from './cluster-customers'
import { type ClusterNews, type ClusterShop, openClusterShop } from './cluster-shop-process'
import { createProgress, type Progress } from './progress'

const WORKERS = 3
const LIMIT_MB = 120
const CUSTOMERS = 20
const LOAD_MS = 25_000
const OPENING_MS = 20_000

async function main(): Promise<void> {
  const progress = createProgress(process.stdout)
  const board = new Board(progress)
  const shop = openClusterShop(`${LIMIT_MB}mb`, WORKERS, (news) => board.take(news))
  giveUpOnSignal(shop)
  try {
    const port = await inTime(shop.port)
    progress.say(`A shop with ${WORKERS} workers is open; it forgets no session. Limit: ${LIMIT_MB} MB each.`)
    progress.say(`${CUSTOMERS} customers come in, on keep-alive connections, and retry nothing.`)
    const customers = sendCustomers(port, CUSTOMERS)
    const stopTelling = board.keepTelling(customers)
    await pause(LOAD_MS)
    await customers.leave()
    stopTelling()
    judge(board.replaced, customers, progress)
  } finally {
    await shop.close()
  }
}

/** What is known of the shop, and how it is shown. */
class Board {
  replaced = 0
  #stats: ClusterStats | undefined

  constructor(private readonly progress: Progress) {}

  take(news: ClusterNews): void {
    if (news.name === 'stats') this.#stats = news.event
    if (news.name === 'recycle') {
      const { pid, rss } = news.event
      this.progress.say(`  worker ${pid} has ${inMb(rss)} MB: its replacement starts`)
    }
    if (news.name === 'recycled') {
      const { pid, ms, code, signal } = news.event
      this.replaced += 1
      this.progress.say(
        `  worker ${pid} is gone (${signal ?? `code ${code}`}), ${Math.round(ms)} ms after it was told to drain`,
      )
    }
    if (news.name === 'crash') this.progress.say(`  worker ${news.event.pid} died by accident`)
  }

  keepTelling(customers: Customers): () => void {
    const startedAt = performance.now()
    const timer = setInterval(() => {
      const second = Math.round((performance.now() - startedAt) / 1000)
      const workers = this.#stats?.workers.map(inBrief).join(' ') ?? ''
      const requests = `${customers.answered()} answered, ${countOf(customers)} failed`
      const text = `${String(second).padStart(3)} s  MB: ${workers}  replaced ${this.replaced}  ${requests}`
      this.progress.update(second, text)
    }, 250)
    return () => clearInterval(timer)
  }
}

/** A worker that drains stands in brackets, one that starts is a star. */
function inBrief({ state, rss }: WorkerStats): string {
  if (state === 'starting') return '*'
  return state === 'ready' ? inMb(rss) : `(${inMb(rss)})`
}

function judge(replaced: number, customers: Customers, { say }: Progress): void {
  const failed = countOf(customers)
  say('')
  say(`${replaced} workers replaced, ${customers.answered()} requests answered, ${failed} failed.`)
  for (const [problem, times] of customers.failures()) say(`  ${times} x ${problem}`)
  if (replaced === 0) throw new Error('no worker was replaced')
  if (failed > 0) throw new Error(`${failed} requests failed`)
}

function countOf(customers: Customers): number {
  return [...customers.failures().values()].reduce((sum, times) => sum + times, 0)
}

function inMb(sizeBytes: number): string {
  return String(Math.round(sizeBytes / 1e6))
}

function inTime<T>(work: Promise<T>): Promise<T> {
  const cancelled = new AbortController()
  const tooLate = pause(OPENING_MS, undefined, { signal: cancelled.signal }).then(() => {
    throw new Error(`the shop did not open within ${OPENING_MS / 1000} s`)
  })
  tooLate.catch(() => undefined) // It opened in time.
  return Promise.race([work, tooLate]).finally(() => cancelled.abort())
}

function giveUpOnSignal(shop: ClusterShop): void {
  const exitCodes = { SIGINT: 130, SIGTERM: 143 }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      shop.kill()
      process.exit(exitCodes[signal])
    })
  }
}

main().catch((error: unknown) => {
  console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
