// Takes the pictures of the report's page, of what the demo has left in a folder and of a busy worker thread:
// npx tsx test/tools/devtools/take-report-pictures.ts <folder>
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { writeReport } from '../demo/report'
import { launchChromium } from './chromium'
import { neutralCopy } from './pictures'
import { endOf, heading, MARGIN, open, OWNERS, take, THREADS, topOf } from './strips'

const WORKERS = join(__dirname, '../../e2e/thread/programs/with-workers.js')

/** The incidents of the demo, and what each report has to name. */
const INCIDENTS = [
  { file: /^cpu-.*\.cpuprofile$/, culprit: 'renderReport', picture: 'report-cpu.png' },
  {
    file: /^memory-.*\.heapsnapshot$/,
    culprit: 'SessionRecord',
    picture: 'report-leak.png',
    withMinutes: true,
  },
  { file: /^heap-limit-memory-.*\.heapsnapshot$/, culprit: 'OrderLine', picture: 'report-heap-limit.png' },
]

async function main(folder: string): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'pictures-'))
  const browser = await launchChromium()
  try {
    for (const { file, culprit, picture, withMinutes } of INCIDENTS) {
      const { page: html } = await writeReport(neutralCopy(folder, file, scratch), culprit)
      const page = await open(browser, html)
      const circumstances = page.locator('main > section').first()
      if (withMinutes) {
        await take(
          page,
          await topOf(circumstances),
          (await topOf(heading(page, THREADS))) - MARGIN,
          'report-minutes.png',
        )
        await take(page, await topOf(heading(page, OWNERS)), await endOf(circumstances), 'report-owners.png')
      }
      await page.evaluate("document.querySelector('main > section').hidden = true")
      await take(page, 0, await endOf(page.locator('tr.culprit').first()), picture)
    }
    const { page: html } = await writeReport(await profileOfWorker(scratch), 'guiltyWorker')
    const page = await open(browser, html)
    const to = (await topOf(heading(page, OWNERS))) - MARGIN
    await take(page, await topOf(heading(page, THREADS)), to, 'report-threads.png')
  } finally {
    await browser.close()
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Profiles a process in which one of its workers is busy; gives the worker's profile. */
async function profileOfWorker(scratch: string): Promise<string> {
  const directory = join(scratch, 'workers')
  mkdirSync(directory)
  const options = { cpu: { threshold: 100_000 }, profileDir: directory }
  const child = spawn(process.execPath, [WORKERS, JSON.stringify(options), 'hot'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 60_000,
  })
  const ended = once(child, 'exit')
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { type } = JSON.parse(line) as { type: string }
      if (type === 'ready') child.stdin.write('dump 2500\n')
      if (type === 'dumped') return neutralCopy(directory, /-worker-\d+\.cpuprofile$/, scratch)
    }
    throw new Error('the program ended without a dump')
  } finally {
    child.stdin.end()
    await ended
  }
}

const folder = process.argv[2]
if (folder === undefined) throw new Error('wanted: the folder with the evidence of npm run demo')
void main(folder)
