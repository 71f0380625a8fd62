import { open, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Browser, Locator, Page } from 'playwright-core'
import { launchChromium } from './chromium'
import { withExactTimes } from './exact-times'

/** One row of Bottom-up in the Performance panel. */
export interface CpuRow {
  readonly name: string
  readonly selfMs: number
}

/** One row of "Heavy (bottom up)" of a sampling heap profile. */
export interface AllocationRow {
  readonly name: string
  readonly selfPercent: number
}

/** One row of the summary of a heap snapshot. */
export interface ClassRow {
  readonly name: string
  readonly retainedPercent: number
}

/**
 * Chrome's own DevTools, reading files as a person would: each file goes into a freshly loaded DevTools window, so that
 * nothing of an earlier file can answer for a later one. A file counts as opened only when its rows are on the screen;
 * each method rejects when DevTools reports an error, when the rows do not come in time, and when the file is cut short.
 */
export interface DevTools {
  /**
   * Opens a `.cpuprofile` in the Performance panel: the uppermost rows of Bottom-up, most self time first. It gets the file
   * with times that it adds up without error.
   */
  openCpuProfile(file: string): Promise<{ functions: CpuRow[] }>
  /** Opens a `.heapsnapshot` in the Memory panel: how many objects of a class its summary counts. */
  openHeapSnapshot(file: string, className: string): Promise<{ count: number }>
  /** Opens a `.heapsnapshot` in the Memory panel: the uppermost rows of its summary, largest retained size first. */
  openHeapSummary(file: string): Promise<{ classes: ClassRow[] }>
  /** Opens a `.heapprofile` in the Memory panel: the uppermost rows of "Heavy (bottom up)", largest self size first. */
  openHeapProfile(file: string): Promise<{ functions: AllocationRow[] }>
  /** Ends the browser. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts one browser for any number of files.
 *
 * @param options.timeoutMs - How long DevTools may take for one file, ms. A large snapshot on a busy machine needs minutes.
 */
export async function startDevTools({ timeoutMs = 60_000 } = {}): Promise<DevTools> {
  const browser = await launchChromium()
  return {
    openCpuProfile: (file) => show(browser, { file, panel: 'Performance', timeoutMs }, cpuRows),
    openHeapSnapshot: (file, className) =>
      show(browser, { file, panel: 'Memory', timeoutMs }, (page) => countInSummary(page, className)),
    openHeapSummary: (file) => show(browser, { file, panel: 'Memory', timeoutMs }, summaryRows),
    openHeapProfile: (file) => show(browser, { file, panel: 'Memory', timeoutMs }, allocationRows),
    close: () => browser.close(),
  }
}

/** What to show, and how long that may take. */
export interface Showing {
  readonly file: string
  readonly panel: 'Performance' | 'Memory'
  readonly timeoutMs: number
}

/** Gives a file to a new DevTools window and reads from it, or rejects with the error that DevTools shows. */
export async function show<T>(
  browser: Browser,
  { file, panel, timeoutMs }: Showing,
  read: (page: Page) => Promise<T>,
): Promise<T> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } })
  page.setDefaultTimeout(timeoutMs)
  try {
    await page.goto('devtools://devtools/bundled/js_app.html')
    await select(page.getByRole('tab', { name: panel, exact: true }).first())
    const refused = refusal(page, file)
    const given = panel === 'Performance' ? await withExactTimesOf(file) : file
    await page.locator('input[type=file]').first().setInputFiles(given)
    const shown = await Promise.race([refused, expiry(page, file, timeoutMs), read(page)])
    await expectClosingBrace(file)
    return shown
  } finally {
    await page.close()
  }
}

async function withExactTimesOf(file: string): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const text = withExactTimes(await readFile(file, 'utf8'))
  return { name: basename(file), mimeType: 'application/json', buffer: Buffer.from(text) }
}

/** Selects Bottom-up and reads what it shows. */
export async function cpuRows(page: Page): Promise<{ functions: CpuRow[] }> {
  const bottomUp = page.getByRole('tab', { name: 'Bottom-up' })
  const rows = await dataRows(page, 'Activity', {
    before: () => select(bottomUp),
    // The rows come first, and their order later.
    please: (found) =>
      found.length > 0 && found.every(([self], at) => selfOf(found[at - 1]) >= leadingNumber(self)),
  })
  return { functions: rows.map(([self, , name]) => ({ name: firstLine(name), selfMs: leadingNumber(self) })) }
}

/** Selects the snapshot, filters its summary by the class and reads the count of the row that has exactly its name. */
export async function countInSummary(page: Page, className: string): Promise<{ count: number }> {
  await summaryRows(page)
  await page.getByRole('textbox', { name: 'Filter by class' }).fill(className)
  // Absence is believed only when it lasts: the grid may be empty for a moment while it fills anew.
  const counts = (await filteredCounts(page, className)) ?? (await filteredCounts(page, className, 1000))
  if (counts === undefined) throw new Error(`DevTools shows no class ${className} in the heap summary`)
  return { count: counts.reduce((sum, count) => sum + count, 0) }
}

/** Selects the snapshot and reads its summary. */
async function summaryRows(page: Page): Promise<{ classes: ClassRow[] }> {
  // The item shows the size of the heap only once the whole snapshot is parsed; before, it shows how far parsing is.
  await select(page.getByRole('treeitem').filter({ hasText: /\(\d[\d.,]*\s[kMG]?B\)/ }))
  const rows = await dataRows(page, 'Constructor')
  return {
    classes: rows.map(([label, , , retained]) => ({
      name: firstLine(label).replace(/×[\d,]+$/, ''),
      retainedPercent: percentOf(retained ?? ''),
    })),
  }
}

/** Selects the sampling profile and reads its bottom-up list. */
export async function allocationRows(page: Page): Promise<{ functions: AllocationRow[] }> {
  await select(page.getByRole('treeitem').filter({ hasText: '(Loaded)' }))
  await page.locator('select', { hasText: 'Heavy (bottom up)' }).selectOption('Heavy (bottom up)')
  const rows = await dataRows(page, 'Function')
  return {
    functions: rows.map(([self, , name]) => ({ name: firstLine(name), selfPercent: percentOf(self ?? '') })),
  }
}

/** Of no row: more than of any. */
function selfOf(row: readonly string[] | undefined): number {
  return row === undefined ? Infinity : leadingNumber(row[0])
}

/** Rejects as soon as DevTools shows that it could not read the file: by an error dialog, or by an uncaught error. */
async function refusal(page: Page, file: string): Promise<never> {
  return new Promise((_resolve, reject) => {
    page.once('pageerror', ({ message }) => reject(new Error(`DevTools cannot read ${file}: ${message}`)))
    page
      .getByText('Profile loading failed')
      .waitFor({ timeout: 0 })
      .then(
        () => reject(new Error(`DevTools cannot read ${file}: it shows "Profile loading failed"`)),
        () => undefined, // The page was closed: the file was read, or refused for another reason.
      )
  })
}

async function expiry(page: Page, file: string, timeoutMs: number): Promise<never> {
  await page.waitForTimeout(timeoutMs)
  throw new Error(`DevTools does not show ${file} within ${timeoutMs} ms`)
}

/**
 * DevTools reads a heap snapshot only up to the end of its list of strings, so it opens one whose last byte is missing.
 * We promise whole files: the closing brace has to be there.
 */
async function expectClosingBrace(file: string): Promise<void> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, Math.max(0, size - 64))
    if (!buffer.toString('latin1', 0, bytesRead).trimEnd().endsWith('}'))
      throw new Error(`${file} is cut short`)
  } finally {
    await handle.close()
  }
}

/**
 * Selects a tab or an item by an event and not by a click: the first profile in a fresh window brings up a modal note, at
 * a moment of its own, that swallows clicks; and a click waits for animation frames, which a busy machine may not give.
 */
async function select(tab: Locator): Promise<void> {
  if ((await tab.getAttribute('aria-selected')) !== 'true')
    await tab.dispatchEvent('mousedown', { button: 0 })
}

/**
 * Waits until the grid with this column heading has rows that please, and gives the texts of their cells.
 *
 * @param options.before - What to do before each look, for views that do not stay where one has put them.
 */
async function dataRows(
  page: Page,
  heading: string,
  { before = async () => {}, please = (rows: string[][]) => rows.length > 0 } = {},
): Promise<string[][]> {
  const grid = page.locator('table').filter({ has: page.getByRole('columnheader', { name: heading }) })
  for (;;) {
    await before()
    const rows = await cellTexts(grid.first())
    if (please(rows)) return rows
    await page.waitForTimeout(50)
  }
}

/** The counts of the rows that have exactly this class name, once the filter is in effect; `undefined` without any. */
async function filteredCounts(page: Page, className: string, afterMs = 0): Promise<number[] | undefined> {
  await page.waitForTimeout(afterMs)
  const rows = await dataRows(page, 'Constructor', {
    please: (cells) => cells.every(([label]) => mentions(label, className)),
  })
  const counts = rows.map(([label]) => countOf(label ?? '', className)).filter((count) => count !== undefined)
  return counts.length > 0 ? counts : undefined
}

async function cellTexts(grid: Locator): Promise<string[][]> {
  const texts = await grid.locator('tr.data-grid-data-grid-node').allInnerTexts()
  return texts.map((text) => text.split('\t').map((cell) => cell.trim()))
}

function mentions(label: string | undefined, className: string): boolean {
  return (label ?? '').toLowerCase().includes(className.toLowerCase())
}

/** `ParkedOrder×12,345` is 12345 of them, `ParkedOrder` alone is one; `undefined` for a class of another name. */
function countOf(label: string, className: string): number | undefined {
  const [name, count = '1'] = firstLine(label).split('×')
  return name?.trim() === className ? leadingNumber(count) : undefined
}

function firstLine(text: string | undefined): string {
  return (text ?? '').split('\n', 1)[0]?.trim() ?? ''
}

function leadingNumber(text: string | undefined): number {
  return Number.parseFloat((text ?? '').replaceAll(',', ''))
}

function percentOf(text: string): number {
  return leadingNumber(/([\d.]+)\s*%/.exec(text)?.[1])
}
