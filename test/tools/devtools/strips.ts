import { pathToFileURL } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { savePicture } from './pictures'

const WIDTH = 1000
export const MARGIN = 16

/** Headings of the drawings of a report's page. */
export const THREADS = 'CPU by thread'
export const OWNERS = 'Resident memory by owner'

export async function open(browser: Browser, html: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 800 }, colorScheme: 'light' })
  await page.goto(pathToFileURL(html).href)
  await page.evaluate('document.fonts.ready')
  return page
}

export function heading(page: Page, text: string): Locator {
  return page.locator('h3').filter({ hasText: text }).first()
}

/** A strip of the page, with a little above what begins it. */
export async function take(
  page: Page,
  from: number,
  to: number,
  name: string,
  colours?: number,
): Promise<void> {
  const y = Math.max(0, from - MARGIN)
  const clip = { x: 0, y, width: WIDTH, height: to - y }
  savePicture(name, await page.screenshot({ fullPage: true, clip }), colours)
}

export async function topOf(element: Locator): Promise<number> {
  return Math.floor((await boxOf(element)).y)
}

export async function endOf(element: Locator): Promise<number> {
  const { y, height } = await boxOf(element)
  return Math.ceil(y + height)
}

async function boxOf(element: Locator): Promise<{ y: number; height: number }> {
  const box = await element.boundingBox()
  if (box === null) throw new Error('a part of the page is missing')
  return box
}
