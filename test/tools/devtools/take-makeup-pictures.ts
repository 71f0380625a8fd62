// Takes the pictures of docs/reading.md: the answer of the report, and whose CPU or memory it was, of programs with one guilty part each.
// npx tsx test/tools/devtools/take-makeup-pictures.ts [picture …]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Browser } from 'playwright-core'
import { writeReport } from '../demo/report'
import { launchChromium } from './chromium'
import { FEW_COLOURS, neutralCopy } from './pictures'
import { endOf, MARGIN, open, OWNERS, take, THREADS } from './strips'

const PROGRAMS = join(__dirname, '../../e2e/monitor/programs')
const { shapes } = createRequire(__filename)(join(PROGRAMS, 'guilty-shapes.js')) as {
  readonly shapes: Readonly<Record<string, { readonly options: object }>>
}

interface Wanted {
  readonly picture: string
  readonly shape: string
  /** What the answer has to name. */
  readonly names: string
  readonly drawing: string
}

const WANTED: readonly Wanted[] = [
  { picture: 'makeup-main.png', shape: 'hot main', names: 'calculate', drawing: THREADS },
  { picture: 'makeup-pool.png', shape: 'hot pool', names: 'the thread pool', drawing: THREADS },
  { picture: 'makeup-gc.png', shape: 'collections', names: 'garbage collection took', drawing: THREADS },
  { picture: 'makeup-waiting.png', shape: 'child process', names: 'execSync', drawing: THREADS },
  { picture: 'makeup-worker-heap.png', shape: 'leaking worker', names: 'CachedPage', drawing: OWNERS },
  { picture: 'makeup-main-heap.png', shape: 'leaking main', names: 'StaleOrder', drawing: OWNERS },
  { picture: 'makeup-native.png', shape: 'native memory', names: 'native memory', drawing: OWNERS },
]

async function main(pictures: readonly string[]): Promise<void> {
  for (const wanted of WANTED) {
    if (pictures.length > 0 && !pictures.includes(wanted.picture)) continue
    const scratch = mkdtempSync(join(tmpdir(), 'pictures-'))
    try {
      const { page, answer } = await writeReport(await dumpOf(wanted, scratch), wanted.names)
      console.log(answer)
      // Not beside the programs, whose figures it would change.
      const browser = await launchChromium()
      await draw(browser, page, wanted).finally(() => browser.close())
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }
}

/** The answer, and of the rest the one drawing. */
async function draw(browser: Browser, html: string, { picture, drawing }: Wanted): Promise<void> {
  const page = await open(browser, html)
  await page.evaluate(`{
    const [circumstances, ...others] = document.querySelectorAll('main > section')
    const title = [...circumstances.querySelectorAll('h3')].find((each) => each.textContent.startsWith('${drawing}'))
    const kept = [title, title.nextElementSibling]
    const rest = [...circumstances.children].filter((each) => !kept.includes(each))
    for (const each of [...rest, ...others, document.querySelector('.kicker')]) each.style.display = 'none'
  }`)
  const to = (await endOf(page.locator('main > section').first())) + MARGIN
  await take(page, 0, to, picture, FEW_COLOURS)
}

/** Runs the program until its dump; gives a copy of the main file. */
async function dumpOf({ shape }: Wanted, scratch: string): Promise<string> {
  const directory = mkdtempSync(join(scratch, 'dumps-'))
  const options = JSON.stringify({ ...shapes[shape]?.options, signal: false })
  const child = spawn(process.execPath, [join(PROGRAMS, 'guilty.js'), options, shape], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    timeout: 120_000,
  })
  const ended = once(child, 'exit')
  try {
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      if (!line.startsWith('{"name":"dump"')) continue
      const { file } = JSON.parse(line) as { file: string }
      return neutralCopy(directory, new RegExp(`^${basename(file).replaceAll('.', '\\.')}$`), scratch)
    }
    throw new Error(`${shape} ended without a dump`)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

void main(process.argv.slice(2))
