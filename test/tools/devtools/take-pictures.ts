// Takes the README's pictures, of what the demo has left in a folder: npx tsx test/tools/devtools/take-pictures.ts <folder>
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join, resolve } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from './chromium'
import { countInSummary, cpuRows, show } from './devtools'

const MAX_BYTES = 150_000
const TIMEOUT_MS = 60_000

const repository = resolve(__dirname, '../../..')
const docs = join(repository, 'docs')

async function main(folder: string): Promise<void> {
  mkdirSync(docs, { recursive: true })
  const neutralFolder = mkdtempSync(join(tmpdir(), 'pictures-'))
  const browser = await launchChromium()
  try {
    await takeCpuPicture(browser, neutralCopy(folder, '.cpuprofile', neutralFolder))
    await takeHeapPicture(browser, neutralCopy(folder, '.heapsnapshot', neutralFolder), 'SessionRecord')
  } finally {
    await browser.close()
    rmSync(neutralFolder, { recursive: true, force: true })
  }
}

/** Where the repository lies on the machine of whoever takes the pictures is of no interest to readers. */
function neutralCopy(folder: string, extension: string, neutralFolder: string): string {
  const name = readdirSync(folder).find((entry) => extname(entry) === extension)
  if (name === undefined) throw new Error(`${folder} has no ${extension}`)
  const copy = join(neutralFolder, name)
  writeFileSync(copy, readFileSync(join(folder, name), 'utf8').replaceAll(repository, '/app'))
  return copy
}

async function takeCpuPicture(browser: Browser, file: string): Promise<void> {
  await show(browser, { file, panel: 'Performance', timeoutMs: TIMEOUT_MS }, async (page) => {
    await cpuRows(page)
    // A note on keyboard shortcuts lies over the view of whoever opens the first profile, and tips fill the side bar.
    await page.getByText('Keyboard shortcuts for flame chart').waitFor()
    await page.locator('dialog devtools-button[title=Close]').first().dispatchEvent('click')
    await page.getByRole('button', { name: 'Hide sidebar' }).dispatchEvent('click')
    await takePicture(page, 'devtools-cpuprofile.png')
  })
}

/** Shows the class with its count, and who holds one of its objects. */
async function takeHeapPicture(browser: Browser, file: string, className: string): Promise<void> {
  await show(browser, { file, panel: 'Memory', timeoutMs: TIMEOUT_MS }, async (page) => {
    await countInSummary(page, className)
    await page.getByRole('row').filter({ hasText: className }).first().click()
    for (const key of ['ArrowRight', 'ArrowDown']) {
      await page.keyboard.press(key)
      await page.waitForTimeout(1000)
    }
    await takePicture(page, 'devtools-heapsnapshot.png')
  })
}

async function takePicture(page: Page, name: string): Promise<void> {
  await page.setViewportSize({ width: 1200, height: 560 })
  await page.waitForTimeout(1000) // The panels follow the new size by and by.
  const picture = await page.screenshot()
  if (picture.length > MAX_BYTES) throw new Error(`${name} has ${picture.length} bytes`)
  writeFileSync(join(docs, name), picture)
  console.log(`docs/${name}: ${picture.length} bytes`)
}

const folder = process.argv[2]
if (folder === undefined) throw new Error('wanted: the folder with the evidence of npm run demo')
void main(folder)
