import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { readSidecar } from '../../../src/files/sidecar'
import { openInput, readProfile } from '../../../src/reader/input'
import { UnreadableError } from '../../../src/reader/json'
import { listIncidents, writeList } from '../../../src/reader/list'
import type { Report } from '../../../src/reader/model'
import { writeMarkdown } from '../../../src/reader/output/markdown'
import { writeText } from '../../../src/reader/output/text'
import { writePage } from '../../../src/reader/page/page'
import { readStacks, toPprof, toSpeedscope } from '../../../src/reader/profile/export'
import { createReport } from '../../../src/reader/report'
import { analyseSnapshots } from '../../../src/reader/snapshot/analysis'
import { NO_SOURCE_MAPS } from '../../../src/reader/source-maps'
import { printable } from '../../../src/reader/units'
import { scratch } from '../../e2e/reader/command'
import { alterations, anyJson, assertNotPolluted, damages, runs } from '../../harness/fuzz'
import { parkedOrders, smallSnapshot } from './small-snapshot'

const { folder, remove } = scratch()
after(remove)

const callFrame = (functionName: string, lineNumber: number) => ({
  ...{ functionName, scriptId: '1', url: 'file:///app/shop.js', lineNumber, columnNumber: 4 },
})
const CPU_PROFILE = {
  nodes: [
    { id: 1, callFrame: { ...callFrame('(root)', -1), url: '' }, hitCount: 0, children: [2, 3] },
    { id: 2, callFrame: callFrame('render', 4), hitCount: 6, positionTicks: [{ line: 5, ticks: 6 }] },
    { id: 3, callFrame: { ...callFrame('(idle)', -1), url: '' }, hitCount: 2 },
  ],
  startTime: 1000,
  endTime: 9000,
  samples: [2, 2, 3, 2, 2, 3, 2, 2],
  timeDeltas: [0, 1000, 1000, 1000, 1000, 1000, 1000, 1000],
}
const HEAP_PROFILE = {
  head: {
    ...{ callFrame: callFrame('(root)', -1), selfSize: 0, id: 1 },
    children: [{ callFrame: callFrame('hoard', 7), selfSize: 4096, id: 2, children: [] }],
  },
  samples: [{ size: 4096, nodeId: 2, ordinal: 1 }],
}
const SIDECAR = {
  ...{ tool: 'cpu-memory-monitor', version: '2.0.0', artefact: 'cpu-12-1700000000000.cpuprofile' },
  why: {
    ...{ kind: 'cpu', rule: 'threshold', details: { threshold: 90, reading: 120, counter: 3 } },
    readings: [{ at: '2026-11-27T10:00:00.000Z', value: 120 }],
  },
  thread: { kind: 'worker', id: 3, name: 'resize' },
  makeup: {
    threads: [{ kind: 'main', percent: 80 }],
    memory: {
      rss: 1e9,
      heap: 5e8,
      external: 1e6,
      arrayBuffers: 1e5,
      rest: 1e7,
      workers: [{ id: 1, heapTotal: 5 }],
    },
  },
  flight: {
    endedAt: '2026-11-27T10:00:00.000Z',
    secondsAgo: [2, 1],
    cpuPercent: [80, 120],
    rssMb: [100, 110],
  },
  how: { way: 'inspector', passedOver: [], pauseMs: 3, durationMs: 3000, sizeBytes: 9, notes: { busyMs: 9 } },
  where: {
    ...{
      node: 'v20.0.0',
      v8: '11',
      pid: 12,
      host: 'here',
      directory: '/',
      startedAt: '2026-11-27T10:00:00.000Z',
    },
    limits: { childDeadlineMs: 1 },
  },
}
const SNAPSHOT = JSON.parse(smallSnapshot(parkedOrders(8))) as object

/** A file that V8 or the monitor would not have written, as bytes. */
const brokenOf = (sample: object): fc.Arbitrary<Buffer> => {
  const text = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '')
  return fc.oneof(
    { weight: 6, arbitrary: alterations(sample).map(text) },
    { weight: 3, arbitrary: damages(JSON.stringify(sample)) },
    { weight: 1, arbitrary: anyJson.map(text) },
  )
}

describe('a broken file', { timeout: 1_200_000 }, () => {
  for (const [kind, sample] of [
    ['CPU profile', CPU_PROFILE],
    ['heap profile', HEAP_PROFILE],
  ] as const) {
    it(`${kind}: is reported on in every form, or refused in a few words`, async () => {
      const file = join(folder, 'any.profile')
      await tried(brokenOf(sample), runs(400), async (bytes) => {
        writeFileSync(file, bytes)
        assertShowable(
          await createReport({ paths: [file], onProgress: ignore, runAnalysis: (start) => start().result }),
        )
        const stacks = readStacks(readProfile(openInput(file)), 'any', NO_SOURCE_MAPS)
        JSON.parse(toSpeedscope(stacks))
        assert.ok(toPprof(stacks).length > 0)
      })
    })
  }

  it('heap snapshot: is reported on, or refused in a few words', async () => {
    const file = join(folder, 'any.heapsnapshot')
    await tried(brokenOf(SNAPSHOT), runs(150), async (bytes) => {
      writeFileSync(file, bytes)
      const input = openInput(file)
      if (input.kind !== 'snapshot') return
      const parts = await analyseSnapshots([input], NO_SOURCE_MAPS, { onProgress: ignore })
      assertShowable({ verdict: parts[0]!.verdict, title: 'any', parts, others: [], notes: [] })
    })
  })

  it('description: its artefact is listed and reported on, with what of it makes sense', async () => {
    const directory = join(folder, 'described')
    mkdirSync(directory)
    const file = join(directory, SIDECAR.artefact)
    writeFileSync(file, JSON.stringify(CPU_PROFILE))
    await fc.assert(
      fc.asyncProperty(brokenOf(SIDECAR), async (bytes) => {
        rmSync(`${file}.json`, { force: true })
        writeFileSync(`${file}.json`, bytes)
        assertShowable(
          await createReport({ paths: [file], onProgress: ignore, runAnalysis: (start) => start().result }),
        )
        assertPrintable(
          [
            ...writeList(
              listIncidents({ command: 'ls', directory, sinceMs: 0, sort: 'time', isJson: false }),
            ),
          ].join(''),
        )
        // What retention goes by.
        const facts = readSidecar(`${file}.json`, SIDECAR.artefact)
        for (const [name, fact] of Object.entries(facts ?? {}))
          if (name !== 'childDeadlineMs') assert.equal(typeof fact, 'string', name)
        assertNotPolluted()
      }),
      runs(300),
    )
  })
})

/** Runs it with each file: it succeeds, or ends with the error whose message the command line prints, as one line. */
async function tried(
  files: fc.Arbitrary<Buffer>,
  parameters: ReturnType<typeof runs>,
  read: (bytes: Buffer) => Promise<void>,
): Promise<void> {
  let [succeeded, refused] = [0, 0]
  await fc.assert(
    fc.asyncProperty(files, async (bytes) => {
      try {
        await read(bytes)
        succeeded++
      } catch (error) {
        if (!(error instanceof UnreadableError)) throw error
        assert.ok(error.message.length < 1000, error.message)
        refused++
      }
      assertNotPolluted()
    }),
    parameters,
  )
  assert.ok(succeeded > 0 && refused > 0, `${succeeded} succeeded, ${refused} refused`)
}

/** In each form: text of one kind of line, and a page whose markup is not that of the file. */
function assertShowable(report: Report): void {
  assertPrintable(writeText(report))
  assertPrintable(writeMarkdown(report))
  JSON.parse(JSON.stringify(report))
  const page = writePage(report, { script: '', style: '' })
  assert.doesNotMatch(page, /<img|<!--/)
}

function assertPrintable(text: string): void {
  for (const line of text.split('\n')) assert.equal(line, printable(line))
}

function ignore(): void {
  // Progress has no place here.
}
