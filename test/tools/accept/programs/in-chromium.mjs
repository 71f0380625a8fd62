import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { require as requireTs } from 'tsx/cjs/api'
import { record } from './record.mjs'

const { launchChromium } = requireTs('../../devtools/chromium.ts', import.meta.url)

/** Scripts of pages, each with a `run()`. */
const PAGES = {
  chart: `function drawChart() {
    let sum = 0
    for (let at = 0; at < 3e8; at++) sum = (sum + at * (at % 97)) % 1000003
    return sum
  }
  function run() { return drawChart() }`,
  cache: `class Thumbnail { constructor(at) { this.at = at; this.pixels = [at, at + 0.5, 'pixel ' + at] } }
  const thumbnails = new Map()
  function loadThumbnails() { for (let at = 0; at < 60000; at++) thumbnails.set(at, new Thumbnail(at)) }
  function run() { loadThumbnails() }`,
  detached: `const removed = []
  function closeDialog() {
    const dialog = document.createElement('section')
    dialog.innerHTML = '<p>one</p>'.repeat(20)
    document.body.append(dialog)
    dialog.remove()
    removed.push(dialog)
  }
  function run() { for (let at = 0; at < 2000; at++) closeDialog() }`,
}

/** Records a page in Chromium. */
export async function recordPage(page, file) {
  const html = join(dirname(file), `${page}.html`)
  writeFileSync(html, `<!doctype html><title>${page}</title><body><script>${PAGES[page]}</script>`)
  const browser = await launchChromium()
  try {
    const tab = await browser.newPage()
    await tab.goto(pathToFileURL(html).href)
    const session = await tab.context().newCDPSession(tab)
    await record({ send: session.send.bind(session), on: session.on.bind(session) }, file)
  } finally {
    await browser.close()
  }
}
