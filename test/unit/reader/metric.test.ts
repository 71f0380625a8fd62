import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { writeText } from '../../../src/reader/output/text'
import { writePage } from '../../../src/reader/page/page'
import { createReport } from '../../../src/reader/report'
import { scratch } from '../../e2e/reader/command'

const { folder, remove } = scratch()
after(remove)

const PROFILE = JSON.stringify({
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2] },
    { id: 2, callFrame: frame('work'), hitCount: 10 },
  ],
  startTime: 0,
  endTime: 1e6,
})

function frame(functionName: string): object {
  return { functionName, url: 'file:///app/a.js', lineNumber: 1, columnNumber: 0 }
}

interface Rule {
  readonly kind: 'cpu' | 'memory'
  readonly rule: string
  readonly metric?: unknown
  readonly threshold: number
  readonly readings: readonly [number, number]
}

const FLIGHT = {
  endedAt: '2023-11-14T22:13:20.000Z',
  secondsAgo: [2, 1, 0],
  cpuPercent: [10, 20, 30],
  rssMb: [100, 200, 300],
  heapUsedMb: [50, 60, 70],
  loopDelayMs: [10, 200, 300],
}

let count = 0

/** Threshold and readings of a rule in the text, and the captions of the drawings with a threshold. */
async function shown(rule: Rule, flight?: object): Promise<{ why: string; last: string; drawn: string[] }> {
  const { kind, rule: name, metric, threshold, readings } = rule
  const directory = join(folder, String(count++))
  mkdirSync(directory)
  const file = join(directory, 'a.cpuprofile')
  writeFileSync(file, PROFILE)
  const why = {
    kind,
    rule: name,
    details: { threshold, counter: 2, reading: readings[1], metric },
    readings: readings.map((value, at) => ({ at: `2023-11-14T22:13:1${8 + at}.000Z`, value })),
  }
  writeFileSync(`${file}.json`, JSON.stringify({ tool: 'cpu-memory-monitor', why, flight }))
  const report = await createReport({
    paths: [file],
    onProgress: () => undefined,
    runAnalysis: (start) => start().result,
  })
  const line = (begin: string): string =>
    writeText(report)
      .split('\n')
      .find((one) => one.startsWith(begin)) ?? ''
  const page = writePage(report, { script: '', style: '' })
  const captions = [...page.matchAll(/<figcaption>(.*?)<\/figcaption>/gs)].map(([, text = '']) => text)
  return {
    why: line('Why: '),
    last: line('Last readings: '),
    drawn: captions.filter((text) => text.includes('threshold')),
  }
}

const delay = { kind: 'cpu', rule: 'slow-loop', threshold: 200, readings: [150, 310] } as const
const heap = { kind: 'memory', rule: 'heap-high', threshold: 85, readings: [70, 91.5] } as const

describe('a rule with a name of its own', () => {
  it('is shown in the unit of its metric, and drawn where the flight recorder keeps it', async () => {
    const { why, last, drawn } = await shown({ ...delay, metric: 'eventLoopDelay' }, FLIGHT)
    assert.match(why, /threshold 200 ms, counter 2, reading 310 ms, metric eventLoopDelay\)$/)
    assert.equal(last, 'Last readings: 150 ms, 310 ms, threshold 200 ms')
    assert.equal(drawn.length, 1)
    assert.match(
      drawn[0] ?? '',
      /^Delay of the event loop, 3 readings .* threshold 200 ms; circles are the rule&#39;s readings, 1 of them above the threshold/,
    )
  })

  it('has a drawing of its own where the flight recorder does not keep its metric', async () => {
    for (const flight of [FLIGHT, undefined]) {
      const { why, last, drawn } = await shown({ ...heap, metric: 'heap' }, flight)
      assert.match(why, /threshold 85\.0 %, counter 2, reading 91\.5 %/)
      assert.equal(last, 'Last readings: 70.0 %, 91.5 %, threshold 85.0 %')
      assert.equal(drawn.length, 1)
      assert.match(drawn[0] ?? '', /^Used part of V8&#39;s heap limit, 2 readings .* threshold 85\.0 %/)
    }
  })

  for (const metric of ['function', 'toString', 1, undefined])
    it(`is shown as bare numbers and not drawn with the metric ${String(metric)}`, async () => {
      for (const flight of [FLIGHT, undefined]) {
        const { why, last, drawn } = await shown({ ...delay, metric }, flight)
        assert.match(why, /threshold 200, counter 2, reading 310/)
        assert.equal(last, 'Last readings: 150, 310, threshold 200')
        assert.deepEqual(drawn, [])
      }
    })
})

describe('the threshold of cpu', () => {
  it('is percent of a core, also where no metric is written', async () => {
    for (const metric of ['cpu', undefined]) {
      const { last, drawn } = await shown({ ...delay, rule: 'threshold', metric }, FLIGHT)
      assert.equal(last, 'Last readings: 150.0 %, 310.0 %, threshold 200.0 %')
      assert.match(drawn[0] ?? '', /^CPU, 3 readings/)
    }
  })
})
