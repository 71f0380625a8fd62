import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { launchChromium, missingChromium } from '../../tools/devtools/chromium'
import { reader, scratch, written } from './command'

/** What axe-core finds. */
interface Finding {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string }[]
}

const HOSTILE = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'&amp;__proto__`
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const MAX_BYTES = 3_000_000

/** What the monitor adds to a description: the minutes before the dump, and whose CPU and memory it was. */
const RECORDED = {
  flight: {
    endedAt: '2023-11-14T22:13:22.000Z',
    secondsAgo: [3, 2, 1, 0],
    cpuPercent: [10, 20, 70, 90],
    rssMb: [100, 200, 300, 400],
    heapUsedMb: [50, 100, 200, 300],
    loopDelayMs: [2, null, 40, 20],
    gcPercent: [null, null, null, null],
  },
  makeup: {
    spanMs: 2000,
    cpuPercent: 100,
    threads: [
      { kind: 'main', name: 'main thread', cpuPercent: 20 },
      { kind: 'worker', id: 3, name: 'resizer', cpuPercent: 80 },
      { kind: 'pool', name: 'thread pool', cpuPercent: 0, count: 4 },
    ],
    memory: {
      rss: 90e6,
      external: 10e6,
      arrayBuffers: 12e6,
      workers: [{ id: 3, name: 'resizer', heapUsed: 15e6, heapTotal: 20e6 }],
      rest: 60e6,
    },
  },
}

describe('the page of a report', { skip: missingChromium(), timeout: 300_000 }, () => {
  const { folder, remove } = scratch()
  const at = (name: string): string => join(folder, name)
  let browser: Browser

  before(async () => {
    mkdirSync(at('evidence'))
    await written('tools/devtools/programs/cpu-profile.js', at('evidence/cpu-12-1700000000000.cpuprofile'))
    writeFileSync(at('evidence/cpu-12-1700000000000.cpuprofile.json'), sidecar())
    await written('e2e/reader/programs/hoard.js', '2000', at('hoard.heapsnapshot'))
    await write(at('evidence'), 'cpu.html')
    await write(at('hoard.heapsnapshot'), 'snapshot.html')
    mkdirSync(at('recorded'))
    copyFileSync(
      at('evidence/cpu-12-1700000000000.cpuprofile'),
      at('recorded/cpu-12-1700000000000.cpuprofile'),
    )
    writeFileSync(at('recorded/cpu-12-1700000000000.cpuprofile.json'), sidecar(RECORDED))
    await write(at('recorded'), 'recorded.html')
    const quiet = { ...RECORDED, flight: { ...RECORDED.flight, gcPercent: [0, 0, null, 0] } }
    writeFileSync(at('recorded/cpu-12-1700000000000.cpuprofile.json'), sidecar(quiet))
    await write(at('recorded'), 'quiet.html')
    writeFileSync(at('turns.cpuprofile'), turns())
    await write(at('turns.cpuprofile'), 'turns.html')
    await written('tools/devtools/programs/heap-profile.js', at('parcels.heapprofile'))
    await write(at('parcels.heapprofile'), 'parcels.html')
    writeFileSync(at('hostile.cpuprofile'), hostile(at('evidence/cpu-12-1700000000000.cpuprofile')))
    await write(at('hostile.cpuprofile'), 'hostile.html')
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
    remove()
  })

  async function write(artefact: string, page: string): Promise<void> {
    const { code, stderr } = await reader('report', artefact, '--out', at(page))
    assert.equal(code, 0, stderr)
  }

  /** Opens a page and fails on whatever the browser complains of or asks the network for. */
  async function open(name: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, ...options })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('request', (request) => {
      if (request.url() !== pathToFileURL(at(name)).href) complaints.push(`request: ${request.url()}`)
    })
    await page.goto(pathToFileURL(at(name)).href)
    if (name !== 'snapshot.html') await page.locator('g.frame').first().waitFor({ state: 'attached' })
    assert.deepEqual(complaints, [])
    page.on('close', () => assert.deepEqual(complaints, []))
    return page
  }

  it('has the answer as its heading, and the function as a frame', async () => {
    const page = await open('cpu.html')
    assert.match(
      await page.locator('h1').innerText(),
      /^searchForPrimes .* of the busy CPU time, \d+\.\d % of that at line 10\.$/,
    )
    await page.locator('g.frame', { hasText: 'searchForPrimes' }).first().waitFor({ state: 'attached' })
    assert.match(await page.locator('figure').innerText(), /3 readings .* threshold 60\.0 %/)
    assert.equal(await page.locator('figure').count(), 1)
    assert.equal(await page.locator('td.bar').count(), 0)
    await page.close()
  })

  it('draws the minutes before the dump, with the threshold, the breaches and the dump', async () => {
    const page = await open('recorded.html')
    const figures = page.locator('figure')
    const captions = (await figures.allInnerTexts()).map((text) => /^[^\n]*/.exec(text)?.[0])
    assert.deepEqual(captions, [
      "CPU, 4 readings over 3 s before the dump: between 10.0 % and 90.0 %, threshold 60.0 %; circles are the rule's readings, 2 of them above the threshold.",
      'Memory, 4 readings over 3 s before the dump: resident memory between 104.9 MB and 419.4 MB, ' +
        'used heap (dashed) between 52.4 MB and 314.6 MB.',
      'Delay of the event loop, 4 readings over 3 s before the dump: between 2 ms and 40 ms.',
    ])
    assert.deepEqual(
      [await figures.first().locator('.limit').count(), await page.locator('.limit').count()],
      [1, 1],
    )
    assert.equal(await figures.first().locator('circle.breach').count(), 2)
    assert.equal(await page.locator('.dump').count(), 3)
    // A reading that is not known interrupts the curve.
    assert.equal(await figures.nth(2).locator('polyline').count(), 2)
    await page.close()
  })

  it('says in words, without a drawing, that a figure was zero all the time', async () => {
    const page = await open('quiet.html')
    const note = page.getByText(
      'CPU for garbage collection, 4 readings over 3 s before the dump: between 0.0 % and 0.0 %.',
    )
    assert.equal(await note.count(), 1)
    assert.equal(await page.locator('figure', { hasText: 'garbage collection' }).count(), 0)
    await page.close()
  })

  it('shows the CPU by thread and the memory by owner as bars', async () => {
    const page = await open('recorded.html')
    const rows = async (name: string): Promise<string[]> =>
      (await page.getByRole('region', { name }).locator('tbody tr').allInnerTexts()).map((text) =>
        text.trim(),
      )
    assert.deepEqual(await rows('CPU by thread'), ["worker 3 'resizer'\t80.0 %", 'main thread\t20.0 %'])
    assert.deepEqual(await rows('Resident memory by owner'), [
      'native memory and code\t60.0 MB',
      "heap of worker 3 'resizer'\t20.0 MB",
      'Buffers and ArrayBuffers\t10.0 MB',
    ])
    const widths = await page.evaluate<string[]>(
      "[...document.querySelectorAll('td.bar rect')].map((bar) => bar.getAttribute('width'))",
    )
    assert.deepEqual(widths, ['80.0', '20.0', '100.0', '33.3', '16.7'])
    await page.close()
  })

  it('names what holds the class of a snapshot, and lists the classes', async () => {
    const page = await open('snapshot.html')
    assert.match(
      await page.locator('h1').innerText(),
      /^2,000 objects of class SessionRecord .* held by Map sessions/,
    )
    assert.match(await page.locator('ol').innerText(), /variable `sessions`/)
    assert.ok((await page.locator('table').first().innerText()).includes('SessionRecord'))
    await page.close()
  })

  it('lets the keyboard walk the flame graph, zoom and search', async () => {
    const page = await open('cpu.html')
    const detail = page.locator('.detail')
    await page.locator('.canvas').focus()
    assert.match(await detail.innerText(), /^all: 100\.0 %/)
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowDown', 'Enter'])
      await page.keyboard.press(key)
    assert.match(await detail.innerText(), /^[\w()]+ \(.*\): \d/)
    assert.equal(await page.locator('g.frame.current').count(), 1)
    assert.ok((await page.locator('g.frame.fade').count()) > 0)
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('g.frame.fade').count(), 0)
    await page.locator('input').fill('searchforprimes')
    assert.match(await page.locator('.found').innerText(), /^[1-9]\d* found$/)
    await page.getByRole('button', { name: 'Show all' }).click()
    assert.equal(await page.locator('.found').innerText(), '')
    await page.close()
  })

  it('shows the functions in the order of the time at the press of a button, and back', async () => {
    const page = await open('turns.html')
    const button = page.getByRole('button', { name: 'Over time' })
    const names = async (): Promise<(string | null)[]> =>
      page.evaluate(
        `[...document.querySelectorAll('g.frame')]
          .filter((frame) => getComputedStyle(frame).visibility === 'visible')
          .map((frame) => [new DOMMatrix(getComputedStyle(frame).transform).e, frame.getAttribute('name')])
          .sort(([one], [other]) => one - other)
          .map(([, name]) => name)`,
      )
    assert.deepEqual(await names(), ['all', 'parse', 'render'])
    await button.focus()
    await page.keyboard.press('Enter')
    assert.equal(await button.getAttribute('aria-pressed'), 'true')
    assert.deepEqual(await names(), ['all', 'render', '(idle)', 'parse', 'render', 'parse'])
    await page.locator('.canvas').focus()
    for (const key of ['ArrowDown', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key)
    assert.match(await page.locator('.detail').innerText(), /^parse \(\/app\/a\.js:1\): 33\.3 %, 200\.0 ms$/)
    await page.keyboard.press('Enter')
    assert.deepEqual(await names(), ['all', 'parse'])
    await button.press('Enter')
    assert.equal(await button.getAttribute('aria-pressed'), 'false')
    assert.deepEqual(await names(), ['all', 'parse', 'render'])
    await page.close()
  })

  it('has no such button for a profile without times', async () => {
    const page = await open('parcels.html')
    assert.equal(await page.getByRole('button', { name: 'Over time' }).count(), 0)
    await page.close()
  })

  it('shows names that look like markup or script as text, and runs none', async () => {
    const page = await open('hostile.html')
    assert.ok((await page.locator('h1').innerText()).startsWith(HOSTILE))
    assert.equal(await page.locator('img').count(), 0)
    assert.equal(await page.locator('script').count(), 2)
    await page.locator('.canvas').focus()
    await page.keyboard.press('ArrowDown')
    await page.close()
  })

  it('forbids every script but its own', async () => {
    const page = await browser.newPage()
    await page.goto(pathToFileURL(at('cpu.html')).href)
    const ran = await page.evaluate<boolean>(`(() => {
      const script = document.createElement('script')
      script.textContent = 'window.ran = true'
      document.body.append(script)
      return 'ran' in window
    })()`)
    assert.equal(ran, false)
    assert.doesNotMatch(readFileSync(at('cpu.html'), 'utf8'), /<[^>]+ on\w+=/i)
    await page.close()
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no serious finding of axe, ${colorScheme}`, async () => {
      for (const name of ['cpu.html', 'recorded.html', 'turns.html', 'snapshot.html']) {
        const page = await open(name, { colorScheme, bypassCSP: true })
        if (name === 'turns.html') await page.locator('.order').click()
        await page.evaluate(AXE)
        const findings = await page.evaluate<Finding[]>('axe.run().then(({ violations }) => violations)')
        const serious = findings.filter(({ impact }) => ['serious', 'critical'].includes(impact))
        assert.deepEqual(
          serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`),
          [],
        )
        await page.close()
      }
    })
  }

  it('fits a phone, and prints whole tables without controls', async () => {
    for (const name of ['cpu.html', 'recorded.html', 'turns.html', 'snapshot.html']) {
      const page = await open(name, { viewport: { width: 360, height: 740 } })
      assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= 360, name)
      await page.emulateMedia({ media: 'print' })
      if (name === 'cpu.html') assert.equal(await page.locator('.toolbar').isVisible(), false)
      const cut = await page.evaluate<number>(
        "[...document.querySelectorAll('.table')].filter((one) => one.scrollHeight > one.clientHeight + 1).length",
      )
      assert.equal(cut, 0, name)
      await page.close()
    }
  })

  it('is one file of moderate size that only its owner can read', () => {
    for (const name of ['cpu.html', 'snapshot.html']) {
      const { size, mode } = statSync(at(name))
      assert.ok(size < MAX_BYTES, String(size))
      assert.equal(mode & 0o777, 0o600)
    }
  })

  it('is not left half written', async () => {
    copyFileSync(at('hoard.heapsnapshot'), at('again.heapsnapshot'))
    const { code, stderr } = await reader(
      'report',
      at('again.heapsnapshot'),
      '--out',
      at('missing/page.html'),
    )
    assert.equal(code, 1)
    assert.match(stderr, /page\.html cannot be written/)
  })
})

function hostile(file: string): string {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as {
    nodes: { callFrame: { functionName: string; url: string } }[]
  }
  for (const { callFrame } of profile.nodes) {
    if (callFrame.functionName === 'searchForPrimes')
      Object.assign(callFrame, { functionName: HOSTILE, url: HOSTILE })
  }
  return JSON.stringify(profile)
}

/** A profile in which two functions take turns, with idle time between two turns. */
function turns(): string {
  const node = (id: number, functionName: string, children: number[] = []): object => ({
    id,
    callFrame: {
      functionName,
      url: functionName.startsWith('(') ? '' : '/app/a.js',
      lineNumber: 0,
      columnNumber: 0,
    },
    hitCount: 1,
    children,
  })
  return JSON.stringify({
    nodes: [node(1, '(root)', [2, 3, 4]), node(2, 'parse'), node(3, 'render'), node(4, '(idle)')],
    startTime: 0,
    endTime: 600_000,
    samples: [3, 4, 2, 2, 3, 2],
    timeDeltas: [0, 100_000, 100_000, 100_000, 100_000, 100_000],
  })
}

function sidecar(more: object = {}): string {
  const readings = [20, 70, 90].map((value, at) => ({
    at: new Date(1_700_000_000_000 + 1000 * at).toISOString(),
    value,
  }))
  return JSON.stringify({
    tool: 'cpu-memory-monitor',
    why: { kind: 'cpu', rule: 'threshold', details: { threshold: 60, counter: 2 }, readings },
    how: { way: 'inspector', pauseMs: 30 },
    where: { pid: 12, host: 'shop-1', node: 'v20.0.0', startedAt: '2023-11-14T22:13:20.000Z' },
    ...more,
  })
}
