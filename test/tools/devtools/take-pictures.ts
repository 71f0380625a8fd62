// Takes the README's pictures, of what the demo has left in a folder: npx tsx test/tools/devtools/take-pictures.ts <folder>
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from './chromium'
import { countInSummary, cpuRows, show } from './devtools'
import { neutralCopy, savePicture } from './pictures'

const TIMEOUT_MS = 60_000

async function main(folder: string): Promise<void> {
  const neutralFolder = mkdtempSync(join(tmpdir(), 'pictures-'))
  const browser = await launchChromium()
  try {
    await takeCpuPicture(browser, neutralCopy(folder, /^cpu-.*\.cpuprofile$/, neutralFolder))
    await takeHeapPicture(
      browser,
      neutralCopy(folder, /^memory-.*\.heapsnapshot$/, neutralFolder),
      'SessionRecord',
    )
  } finally {
    await browser.close()
    rmSync(neutralFolder, { recursive: true, force: true })
  }
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
  savePicture(name, await page.screenshot())
}

const folder = process.argv[2]
if (folder === undefined) throw new Error('wanted: the folder with the evidence of npm run demo')
void main(folder)
