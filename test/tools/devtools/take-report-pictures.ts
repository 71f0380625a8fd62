// Takes the pictures of the report's page, of what the demo has left in a folder and of a busy worker thread:
// npx tsx test/tools/devtools/take-report-pictures.ts <folder>
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { writeReport } from '../demo/report'
import { launchChromium } from './chromium'
import { neutralCopy, savePicture } from './pictures'

const WIDTH = 1000
const MARGIN = 16
const WORKERS = join(__dirname, '../../e2e/thread/programs/with-workers.js')

const THREADS = 'CPU by thread'
const OWNERS = 'Resident memory by owner'

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

async function open(browser: Browser, html: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 800 }, colorScheme: 'light' })
  await page.goto(pathToFileURL(html).href)
  await page.evaluate('document.fonts.ready')
  return page
}

function heading(page: Page, text: string): Locator {
  return page.locator('h3').filter({ hasText: text }).first()
}

/** A strip of the page, with a little above what begins it. */
async function take(page: Page, from: number, to: number, name: string): Promise<void> {
  const y = Math.max(0, from - MARGIN)
  const clip = { x: 0, y, width: WIDTH, height: to - y }
  savePicture(name, await page.screenshot({ fullPage: true, clip }))
}

async function topOf(element: Locator): Promise<number> {
  return Math.floor((await boxOf(element)).y)
}

async function endOf(element: Locator): Promise<number> {
  const { y, height } = await boxOf(element)
  return Math.ceil(y + height)
}

async function boxOf(element: Locator): Promise<{ y: number; height: number }> {
  const box = await element.boundingBox()
  if (box === null) throw new Error('a part of the page is missing')
  return box
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
