import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Report } from '../../../src/reader/model'
import { reader, scratch, startReader, written } from '../../e2e/reader/command'
import { parkedOrders, smallSnapshot } from './small-snapshot'

const { folder, remove } = scratch()
const at = (name: string): string => join(folder, name)
const firstLine = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await reader('report', ...args)
  assert.equal(code, 0, stderr)
  return stdout.split('\n')[0] ?? ''
}

before(async () => {
  await written('tools/devtools/programs/cpu-profile.js', at('whole.cpuprofile'))
  await written('tools/devtools/programs/heap-profile.js', at('whole.heapprofile'))
  await written(
    'e2e/reader/programs/hoard.js',
    '500',
    at('early.heapsnapshot'),
    '2000',
    at('late.heapsnapshot'),
  )
})
after(remove)

describe('report', { timeout: 300_000 }, () => {
  it('names the hot function of a CPU profile in its first line', async () => {
    assert.match(
      await firstLine(at('whole.cpuprofile')),
      /^searchForPrimes \(.*\/tools\/devtools\/programs\/cpu-profile\.js:6\) used \d+\.\d % of the busy CPU time, \d+\.\d % of that at line 10\.$/,
    )
  })

  it('names the function that allocated what is alive', async () => {
    assert.match(
      await firstLine(at('whole.heapprofile')),
      /^hoardParcels \(.*\/heap-profile\.js:8\) allocated \d+\.\d %/,
    )
  })

  it('names the class that piles up in a snapshot, its constructor, and what holds it', async () => {
    assert.match(
      await firstLine(at('late.heapsnapshot')),
      /^2,000 objects of class SessionRecord \(.*\/hoard\.js:8\) retain 3\d\.\d MB, \d\d\.\d % of the 3\d\.\d MB in the snapshot, held by Map `sessions` in hoard\.js, via closure of login\.$/,
    )
  })

  it('says what grew between two snapshots', async () => {
    assert.match(
      await firstLine(at('early.heapsnapshot'), at('late.heapsnapshot')),
      /^SessionRecord \(.*hoard\.js:8\) grew by 1,500 objects to 2,000, retaining 2\d\.\d MB more, held by Map `sessions`/,
    )
  })

  it('takes the earlier of two dumps as the earlier one, in whichever order they are named', async () => {
    const [early, late] = ['manual-memory-7-1000.heapsnapshot', 'manual-memory-7-2000.heapsnapshot']
    copyFileSync(at('early.heapsnapshot'), at(early))
    copyFileSync(at('late.heapsnapshot'), at(late))
    for (const paths of [
      [at(early), at(late)],
      [at(late), at(early)],
    ])
      assert.match(await firstLine(...paths), /^SessionRecord \(.*\) grew by 1,500 objects to 2,000/)
  })

  it('says of two snapshots that nothing grew, whatever fills the heap', async () => {
    assert.match(
      await firstLine(at('late.heapsnapshot'), at('late.heapsnapshot')),
      /^No single class stands out: the snapshot grew by 0 B to 3\d\.\d MB, and no class of the application has both more objects and at least 5 % of the new size more retained memory\.$/,
    )
  })

  for (const [shape, expected] of [
    ['chain', /^20,000 objects of class Link .* held by property `kept`, a global\.$/],
    ['buffer', /^One object of class Buffer .* retains 67\.1 MB/],
    ['strings', /^200,000 objects of class \((concatenated )?string\) .* held by Array `kept`, a global\.$/],
    ['closures', /^100,000 objects of class closure onDone \(.*shapes\.js:\d+\) retain/],
    ['plain', /^100,000 objects of class \{.*lines.*\} retain/],
    [
      'property',
      /^100,000 objects of class Bare \(.*shapes\.js:\d+\) .* held by Array `cache` of `kept`, a global\.$/,
    ],
    ['nothing', /^No single class stands out/],
  ] as const) {
    it(`names what piles up in a heap of the shape: ${shape}`, async () => {
      await written('e2e/reader/programs/shapes.js', shape, at(`${shape}.heapsnapshot`))
      assert.match(await firstLine(at(`${shape}.heapsnapshot`)), expected)
    })
  }

  it('reads compressed files, and files of any name', async () => {
    writeFileSync(at('a.gz'), gzipSync(readFileSync(at('whole.cpuprofile'))))
    assert.match(await firstLine(at('a.gz')), /^searchForPrimes/)
    writeFileSync(at('b'), gzipSync(readFileSync(at('late.heapsnapshot'))))
    assert.match(await firstLine(at('b')), /^2,000 objects of class SessionRecord/)
  })

  it('writes JSON and Markdown with the same answer', async () => {
    const json = await reader('report', at('whole.cpuprofile'), '--json')
    const report = JSON.parse(json.stdout) as Report
    assert.equal(report.verdict.place?.name, 'searchForPrimes')
    assert.equal(report.parts[0]?.kind, 'cpu')
    const markdown = await firstLine(at('whole.cpuprofile'), '--md')
    assert.match(markdown, /^\*\*searchForPrimes/)
  })

  it('adds why, when and where from the description beside a file', async () => {
    const file = at('cpu-12-1700000000000.cpuprofile')
    copyFileSync(at('whole.cpuprofile'), file)
    writeFileSync(`${file}.json`, JSON.stringify(sidecar(file)))
    const { stdout } = await reader('report', file)
    assert.match(stdout, /Why: threshold cpu \(threshold 60\.0 %, counter 3\)/)
    assert.match(stdout, /When: 2023-11-14T22:13:20\.000Z/)
    assert.match(stdout, /Where: pid 12 on shop-1, Node\.js v20\.0\.0/)
    assert.match(stdout, /Last readings: 70\.0 %, 80\.0 %, threshold 60\.0 %/)
    assert.doesNotMatch(stdout, /^(Before the dump|CPU by thread|Memory by owner)/m)
  })

  it('adds the minutes before a dump, its threads and its memory, in words', async () => {
    const flight = {
      endedAt: '2023-11-14T22:13:20.000Z',
      secondsAgo: [60, 30, 0],
      cpuPercent: [5, 50, 95],
      rssMb: [100, null, 300],
    }
    const makeup = {
      threads: [
        { kind: 'main', name: 'main thread', cpuPercent: 15 },
        { kind: 'pool', name: 'thread pool', cpuPercent: 80, count: 4 },
      ],
      memory: { rss: 3e8, heapTotal: 2e8, external: 3e7, arrayBuffers: 2e7, workers: [], rest: 7e7 },
    }
    assert.deepEqual(await figuresIn({ flight, makeup }), [
      'Before the dump: 60 s with CPU 5.0 % to 95.0 %, resident memory 104.9 MB to 314.6 MB',
      'CPU by thread, percent of a core: thread pool (4 threads) 80.0 %, main thread 15.0 %',
      'Memory by owner: heap of the main thread 200.0 MB, native memory and code 70.0 MB, ' +
        'Buffers and ArrayBuffers 20.0 MB, other external memory 10.0 MB',
    ])
  })

  it('leaves out a flight recorder and a makeup of another form', async () => {
    for (const flight of [
      [],
      { endedAt: 'never', secondsAgo: [1] },
      { secondsAgo: ['a'] },
      { cpuPercent: [1] },
    ])
      assert.deepEqual(await figuresIn({ flight, makeup: { threads: [1, 'a', {}], memory: [1] } }), [])
  })

  it('reports the newest incident of a directory, and a line for each other', async () => {
    const directory = at('evidence')
    mkdirSync(directory)
    copyFileSync(at('whole.cpuprofile'), join(directory, 'cpu-12-1700000000000.cpuprofile'))
    copyFileSync(at('late.heapsnapshot'), join(directory, 'memory-12-1700000001000.heapsnapshot'))
    copyFileSync(at('whole.heapprofile'), join(directory, 'memory-12-1700000001000.heapprofile'))
    writeFileSync(join(directory, 'notes.txt'), 'not an artefact')
    const { code, stdout, stderr } = await reader('report', directory)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^2,000 objects of class SessionRecord/)
    assert.match(stdout, /hoardParcels .* allocated/)
    assert.match(stdout, /2023-11-14T22:13:20\.000Z {2}threshold cpu {2}cpu-12-1700000000000\.cpuprofile/)
    assert.doesNotMatch(stdout, /notes\.txt|still being written/)
  })

  it('hints at a dump that is still being written, beside others and alone', async () => {
    const directory = at('writing')
    mkdirSync(directory)
    const unfinished = join(directory, 'memory-12-1700000002000.heapsnapshot')
    for (const suffix of ['.json', '.partial']) writeFileSync(unfinished + suffix, '{')
    const hint = /memory-12-1700000002000\.heapsnapshot\.partial is still being written, unless .* killed/
    const alone = await reader('report', directory)
    assert.equal(alone.code, 1)
    assert.match(alone.stderr, hint)
    copyFileSync(at('whole.cpuprofile'), join(directory, 'cpu-12-1700000000000.cpuprofile'))
    const { code, stdout } = await reader('report', directory)
    assert.equal(code, 0)
    assert.match(stdout, hint)
  })

  it('says that report can read a .partial without a .json, which is a dump whose names were taken', async () => {
    const directory = at('kept')
    mkdirSync(directory)
    const name = 'cpu-12-1700000002000-123456.cpuprofile.partial'
    copyFileSync(at('whole.cpuprofile'), join(directory, name))
    const { stderr } = await reader('report', directory)
    assert.match(
      stderr,
      new RegExp(`${name} has no \\.json, so no process is writing it\\. .*: try report with it`),
    )
    assert.doesNotMatch(stderr, /still being written/)
    assert.match((await reader('report', join(directory, name))).stdout, /^searchForPrimes /)
  })

  it('shows no control characters of a file', async () => {
    const profile = readFileSync(at('whole.cpuprofile'), 'utf8')
    writeFileSync(
      at('colour.cpuprofile'),
      profile.replaceAll('searchForPrimes', '\\u001b[31mred\\u202e\\u009b2J'),
    )
    const { stdout } = await reader('report', at('colour.cpuprofile'))
    assert.match(stdout, /^\\u\{1b\}\[31mred\\u\{202e\}\\u\{9b\}2J \(/)
    assert.ok(!stdout.includes('\u001b') && !stdout.includes('\u202e'))
    // C1 as well, which some terminals obey, and in JSON, which goes to a terminal too and keeps its values.
    const json = await reader('report', at('colour.cpuprofile'), '--json')
    for (const output of [stdout, json.stdout])
      assert.doesNotMatch(output, /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/)
    const { verdict } = JSON.parse(json.stdout) as Report
    assert.equal(verdict.place?.name, '\u001b[31mred\u202e\u009b2J')
  })
})

describe('report, given what it cannot read', { timeout: 300_000 }, () => {
  const cases: Record<string, () => string | Buffer> = {
    'nothing.cpuprofile': () => '',
    'text.cpuprofile': () => 'hello',
    'array.cpuprofile': () => '[]',
    'other.json': () => '{"name":"x"}',
    'cut.cpuprofile': () => readFileSync(at('whole.cpuprofile')).subarray(0, 1000),
    'cut.heapprofile': () => readFileSync(at('whole.heapprofile')).subarray(0, 500),
    'cut.gz': () => gzipSync(readFileSync(at('whole.cpuprofile'))).subarray(0, 300),
    'deep.heapprofile': () => `{"head":${'{"children":['.repeat(1_000_000)}`,
    'deep.cpuprofile': () => `{"nodes":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`,
    'deep.heapsnapshot': () => `{"snapshot":${'{"a":'.repeat(1_000_000)}`,
    'counts.heapsnapshot': () => smallSnapshot(parkedOrders(3), { node_count: 4_000_000_000 }),
    'strings.heapsnapshot': () => smallSnapshot(parkedOrders(3)).replace('"strings":[', '"strings":[1,'),
  }
  for (const [name, content] of Object.entries(cases)) {
    it(`refuses ${name} with one line that names it, and exit code 1`, async () => {
      writeFileSync(at(name), content())
      const { code, stdout, stderr } = await reader('report', at(name))
      assert.equal(code, 1)
      assert.equal(stdout, '')
      assert.ok(stderr.startsWith(at(name)), stderr)
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
    })
  }

  it('refuses a snapshot that is cut', async () => {
    const whole = at('late.heapsnapshot')
    for (const share of [0.1, 0.5, 0.999]) {
      copyFileSync(whole, at('cut.heapsnapshot'))
      truncateSync(at('cut.heapsnapshot'), Math.floor(statSync(whole).size * share))
      const { code, stderr } = await reader('report', at('cut.heapsnapshot'))
      assert.equal(code, 1)
      assert.match(stderr, /is not a whole heap snapshot|is cut short/)
    }
  })

  it('refuses what is not there, what is no file, and an empty directory', async () => {
    mkdirSync(at('empty'))
    for (const path of [at('missing'), '/dev/zero', at('empty')]) {
      const { code, stderr } = await reader('report', path)
      assert.equal(code, 1)
      assert.ok(stderr.startsWith(path), stderr)
    }
  })

  it('explains a wrong command line', async () => {
    for (const args of [
      ['rapport'],
      ['report'],
      ['report', '--xml', 'a'],
      ['report', '--md', '--json', 'a'],
      ['ls', '--since', 'soon'],
      ['doctor', 'a.cpuprofile'],
      ['doctor', '--md'],
    ]) {
      const { code, stderr } = await reader(...args)
      assert.equal(code, 1, args.join(' '))
      assert.match(stderr, /--help/)
    }
    const help = await reader('--help')
    assert.equal(help.code, 0)
    assert.match(help.stdout, /^Usage:/)
    for (const command of ['report', 'ls', 'doctor'])
      assert.match(help.stdout, new RegExp(`^  cpu-memory-monitor ${command} `, 'm'))
  })

  it('ends at SIGINT during the analysis and leaves nothing', async () => {
    const files = readdirSync(folder)
    const child = startReader('report', at('late.heapsnapshot'))
    const pid = child.pid ?? 0
    await childOf(pid)
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number]
    assert.equal(code, 130)
    assert.deepEqual(readdirSync(folder), files)
  })
})

/** Waits until a process has a child. */
async function childOf(pid: number): Promise<void> {
  const file = `/proc/${pid}/task/${pid}/children`
  while (readFileSync(file, 'utf8').trim() === '') await new Promise(setImmediate)
}

/** The lines on the flight recorder and the makeup. */
async function figuresIn(more: object): Promise<string[]> {
  const file = at('cpu-13-1700000000000.cpuprofile')
  copyFileSync(at('whole.cpuprofile'), file)
  writeFileSync(`${file}.json`, JSON.stringify({ ...sidecar(file), ...more }))
  const { code, stdout, stderr } = await reader('report', file)
  assert.equal(code, 0, stderr)
  return stdout.split('\n').filter((line) => /^(Before the dump|CPU by thread|Memory by owner)/.test(line))
}

function sidecar(artefact: string): object {
  return {
    tool: 'cpu-memory-monitor',
    version: '2.0.0',
    artefact,
    why: {
      kind: 'cpu',
      rule: 'threshold',
      details: { threshold: 60, counter: 3 },
      readings: [
        { at: '2023-11-14T22:13:18.000Z', value: 70 },
        { at: '2023-11-14T22:13:19.000Z', value: 80 },
      ],
    },
    how: { way: 'inspector', passedOver: [], pauseMs: 12, durationMs: 5000, sizeBytes: 1 },
    where: {
      node: 'v20.0.0',
      v8: '11',
      pid: 12,
      host: 'shop-1',
      directory: '/evidence',
      startedAt: '2023-11-14T22:13:20.000Z',
      limits: {},
    },
  }
}
