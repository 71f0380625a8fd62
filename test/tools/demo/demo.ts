// npm run demo: a web shop gets slow, then leaks, then a job dies of its heap limit. The monitor inside leaves evidence of each.
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { checkCpuProfile, checkHeapSnapshot } from './evidence'
import { heapLimitSnapshot, runNightlyJob, whyNoEvidence } from './nightly-job-process'
import type { Progress } from './progress'
import { createProgress } from './progress'
import type { WrittenReport } from './report'
import { writeReport } from './report'
import type { ShopProcess } from './shop-process'
import { openShop } from './shop-process'
import type { Visitors } from './visitors'
import { sendVisitors } from './visitors'

const DEADLINE_MS = 120_000
const QUIET_MS = 3000

interface Evidence {
  readonly cpuProfile: string
  readonly heapSnapshot: string
}

async function main(): Promise<void> {
  const progress = createProgress(process.stdout)
  const folder = mkdtempSync(join(tmpdir(), 'cpu-memory-monitor-demo-'))
  const shop = openShop(folder, (line) => progress.say(`  monitor: ${line}`))
  giveUpOnSignal(shop, folder)
  try {
    const evidence = await withinDeadline(catchBothFaults(shop, progress))
    await checkCpuProfile(evidence.cpuProfile, 'renderReport')
    await checkHeapSnapshot(evidence.heapSnapshot, 'SessionRecord')
    const cpu = await writeReport(evidence.cpuProfile, 'renderReport')
    const memory = await writeReport(evidence.heapSnapshot, 'SessionRecord')
    explain(evidence, [cpu, memory], progress)
    await shop.close()
    await withinDeadline(killAJob(folder, progress))
  } finally {
    await shop.close()
    removeIfEmpty(folder)
  }
}

/** Lets visitors provoke one fault after the other, until the monitor has put a file on disk for each. */
async function catchBothFaults(shop: ShopProcess, progress: Progress): Promise<Evidence> {
  const visitors = sendVisitors(await shop.port())
  const stopTelling = keepTelling(visitors, progress)
  try {
    progress.say('A web shop is open, a monitor inside it. Visitors come in; all is quiet.')
    await pause(QUIET_MS)

    progress.say('Now they ask for /report, which computes too much.')
    visitors.want('/report')
    const cpuProfile = await shop.evidence('.cpuprofile')

    progress.say('Now they log in, and the shop forgets no session.')
    visitors.want('/login')
    const heapSnapshot = await shop.evidence('.heapsnapshot')

    return { cpuProfile, heapSnapshot }
  } finally {
    stopTelling()
    await visitors.leave()
  }
}

function keepTelling(visitors: Visitors, progress: Progress): () => void {
  const startedAt = performance.now()
  const timer = setInterval(() => {
    const second = Math.round((performance.now() - startedAt) / 1000)
    progress.update(second, `${String(second).padStart(3)} s, ${visitors.pagesServed()} pages served`)
  }, 500)
  return () => clearInterval(timer)
}

/** Has V8 end a process for its heap limit, and shows what is left of it. */
async function killAJob(folder: string, { say }: Progress): Promise<void> {
  const whyNot = whyNoEvidence()
  if (whyNot !== undefined) return say(`The third act, a death of the heap limit, is left out: ${whyNot}`)
  say('')
  say('At night a job loads more order lines than its heap can hold, and V8 ends it.')
  const end = await runNightlyJob(folder, (line) => say(`  job: ${line}`))
  say(`The job is gone (${end}). Its forked child writes what filled the heap.`)
  const snapshot = await heapLimitSnapshot(folder)
  await checkHeapSnapshot(snapshot, 'OrderLine')
  const { answer, page } = await writeReport(snapshot, 'OrderLine')
  say(`  ${snapshot}`)
  say('The report names the culprit of this death too:')
  say(`  ${answer}`)
  say(`    ${page}`)
}

function explain(
  { cpuProfile, heapSnapshot }: Evidence,
  reports: readonly WrittenReport[],
  { say }: Progress,
): void {
  say('')
  say('Both faults were caught. Open Chrome, press F12, and give the files to DevTools:')
  say('  Performance, "Load profile" (arrow up), then Bottom-up: renderReport is on top')
  say(`    ${cpuProfile}`)
  say('  Memory, "Load profile": SessionRecord is among the first, it retains nearly everything')
  say(`    ${heapSnapshot}`)
  say('Beside each file a .json says why, how and where it was made.')
  say('')
  say('The report names the culprit of each, and shows the rest in a page that any browser opens:')
  for (const { answer, page } of reports) {
    say(`  ${answer}`)
    say(`    ${page}`)
  }
}

async function withinDeadline<T>(work: Promise<T>): Promise<T> {
  const cancelled = new AbortController()
  const tooLate = pause(DEADLINE_MS, undefined, { signal: cancelled.signal }).then(() => {
    throw new Error(`no evidence within ${DEADLINE_MS / 1000} s`)
  })
  tooLate.catch(() => undefined) // The work was done in time.
  return Promise.race([work, tooLate]).finally(() => cancelled.abort())
}

function giveUpOnSignal(shop: ShopProcess, folder: string): void {
  const exitCodes = { SIGINT: 130, SIGTERM: 143 }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      shop.kill()
      removeIfEmpty(folder)
      process.exit(exitCodes[signal])
    })
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    return // It holds the evidence.
  }
}

main().catch((error: unknown) => {
  console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
