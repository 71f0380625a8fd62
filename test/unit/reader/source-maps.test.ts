import assert from 'node:assert/strict'
import fs, { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import ts from 'typescript'
import type { Place } from '../../../src/reader/model'
import { createLocator } from '../../../src/reader/source-maps'
import { reader, scratch, withHeap, written } from '../../e2e/reader/command'

const { folder, remove } = scratch()
const at = (name: string): string => join(folder, name)
after(remove)

const LINE = 12
const MB = 1024 * 1024
/** A program whose lines are others after it is compiled: types and comments go. */
const SOURCE = `interface Order {
  readonly id: number
  readonly lines: readonly number[]
}

/**
 * Adds up what an order costs.
 */
type Prices = Readonly<Record<string, number>>


export function priceOrders(order: Order, prices: Prices): number {
  let total: number = prices['base'] ?? 0
  for (let round = 0; round < 30_000_000; round += 1) total = (total + round * order.id) % 1_000_003
  return total
}

export function run(): void {
  priceOrders({ id: 7, lines: [] }, {})
}
`

/** Compiles a source into code and its map. */
function compile(source: string, options: ts.CompilerOptions): { code: string; map: string } {
  const { outputText, sourceMapText } = ts.transpileModule(source, {
    fileName: 'orders.ts',
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      removeComments: true,
      ...options,
    },
  })
  return { code: outputText, map: sourceMapText ?? '' }
}

async function firstLine(...args: string[]): Promise<{ line: string; all: string }> {
  const { code, stdout, stderr } = await reader('report', ...args)
  assert.equal(code, 0, stderr)
  return { line: stdout.split('\n')[0] ?? '', all: stdout }
}

describe('source maps', { timeout: 120_000 }, () => {
  const profile = at('orders.cpuprofile')
  const compiled = at('orders.js')
  const beside = `${compiled}.map`
  const inSource = new RegExp(`^priceOrders \\(${at('orders.ts')}:${LINE}\\)`)
  const inCode = new RegExp(`^priceOrders \\(${compiled}:\\d+\\)`)
  const { code, map } = compile(SOURCE, { sourceMap: true, inlineSources: true })

  before(async () => {
    writeFileSync(compiled, code)
    await written('e2e/reader/programs/profile.js', compiled, profile)
  })

  it('are not needed: the place in the code is named', async () => {
    const { line } = await firstLine(profile)
    assert.match(line, inCode)
    assert.doesNotMatch(line, new RegExp(`:${LINE}\\)`))
  })

  it('are found beside the code, and name the line of the source', async () => {
    writeFileSync(beside, map)
    assert.match((await firstLine(profile)).line, inSource)
    // Also when the code itself is not here.
    renameSync(compiled, at('away'))
    assert.match((await firstLine(profile)).line, inSource)
    renameSync(at('away'), compiled)
    rmSync(beside)
  })

  it('are found in the code', async () => {
    const inline = compile(SOURCE, { inlineSourceMap: true, inlineSources: true })
    writeFileSync(compiled, inline.code)
    assert.match((await firstLine(profile)).line, inSource)
    writeFileSync(compiled, code)
  })

  it('are found in a directory', async () => {
    mkdirSync(at('maps/deep'), { recursive: true })
    writeFileSync(at('maps/deep/orders.js.map'), map)
    const { line } = await firstLine(profile, '--source-maps', at('maps'))
    assert.match(line, new RegExp(`^priceOrders \\(.*/orders\\.ts:${LINE}\\)`))
  })

  for (const [why, wrong] of [
    [
      'of another version of the code',
      compile(
        `${'// older\n'.repeat(9)}export const a = 1\n\n\n\nexport const b = 2\nexport const c = () => [\n1,\n2,\n]`,
        { sourceMap: true, inlineSources: true },
      ).map,
    ],
    [
      'whose source is shorter than it says',
      map.replace(/"sourcesContent":\[.*\]/, '"sourcesContent":["export {}"]'),
    ],
    ['that is none', '{"version":3}'],
    ['that is no JSON', '<html>'],
  ] as const) {
    it(`are refused, and said so: one ${why}`, async () => {
      writeFileSync(beside, wrong)
      const { line, all } = await firstLine(profile)
      assert.match(line, inCode)
      assert.match(all, /Note: The source map .*orders\.js\.map (does not belong to|is not used)/)
      rmSync(beside)
    })
  }

  it('are kept though they say nothing of the helpers of a compiler, however often those occur', () => {
    writeFileSync(
      at('helped.js.map'),
      JSON.stringify({
        version: 3,
        sources: ['helped.ts'],
        names: [],
        mappings: ';;AAEA',
        sourcesContent: ['\n\nserve()'],
      }),
    )
    const locator = createLocator(undefined)
    const place = { name: 'serve', file: at('helped.js'), line: 3, column: 1 }
    const helpers = Array.from({ length: 99 }, (_, column) => ({
      ...place,
      name: 'helper',
      line: 1,
      column: column + 1,
    }))
    locator.learn([...helpers, place])
    assert.deepEqual(locator.locate(place), { ...place, file: at('helped.ts') })
    assert.deepEqual(locator.notes(), [])
  })

  it('are not looked for on another machine, which a path of Windows can name', () => {
    const place = { name: 'run', file: at('near.js'), line: 1, column: 1 }
    const map = {
      version: 3,
      sources: ['far.js'],
      names: [],
      mappings: 'AAEA',
      sourcesContent: ['\n\nrun()'],
    }
    writeFileSync(at('near.js.map'), JSON.stringify(map))
    const locator = createLocator(undefined)
    // Here two slashes are one; on Windows the first name behind them is that of a machine.
    const far = { ...place, file: `/${at('near.js')}` }
    locator.learn([place, far])
    assert.deepEqual(locator.locate(place), { ...place, file: at('far.js'), line: 3 })
    assert.deepEqual(locator.locate(far), far)
  })

  it('are not looked for where the file system may ask another machine, and one line names it', (t) => {
    const map = { version: 3, sources: ['far.js'], names: [], mappings: 'AAEA' }
    for (const directory of ['net', 'near']) mkdirSync(at(directory))
    symlinkSync(at('net'), at('near/link'))
    for (const [directory, url] of Object.entries({ net: 'a.map', near: '../net/a.map' })) {
      writeFileSync(at(`${directory}/a.js`), `\n\nrun()\n//# sourceMappingURL=${url}`)
      writeFileSync(at(`${directory}/a.map`), JSON.stringify(map))
      writeFileSync(at(`${directory}/b.js.map`), JSON.stringify({ ...map, sources: ['../net/far.js'] }))
      writeFileSync(at(`${directory}/far.js`), '\n\nrun()')
    }
    const files = ['net/a.js', 'near/link/a.js', 'near/a.js', 'near/b.js', 'near/../net/b.js'].map(
      (name) => `${folder}/${name}`,
    )
    const places = files.map((file) => ({ name: 'run', file, line: 1, column: 1 }))
    const found = (type: string) => {
      const locator = createLocator(
        undefined,
        `1 0 8:1 / / rw - ext4 x rw\n2 1 0:9 / ${at('net')} rw - ${type} x rw`,
      )
      locator.learn(places)
      return {
        isFound: places.map((place) => locator.locate(place).file !== place.file),
        notes: locator.notes(),
      }
    }
    const all = places.map(() => true)
    assert.deepEqual(found('ext4'), { isFound: all, notes: [] })
    const asked: string[] = []
    for (const name of ['statSync', 'lstatSync', 'openSync', 'readlinkSync'] as const) {
      const call = fs[name] as (path: string, ...more: unknown[]) => unknown
      t.mock.method(fs, name, (path: string, ...more: unknown[]) => {
        asked.push(path)
        return call(path, ...more)
      })
    }
    const { isFound, notes } = found('autofs')
    // The last one but one has its map here; only the source that the map names is not looked for.
    assert.deepEqual(isFound, [false, false, false, true, false])
    assert.deepEqual(notes, [
      `No code, source map or source was looked for below ${at('net')}, because its file system (autofs) may ask another machine.`,
    ])
    assert.deepEqual(
      asked.filter((path) => /^(\/net|\/near\/link)\//.test(path.slice(folder.length))),
      [],
    )
  })

  it('are refused where a small file names paths of a GB, and those of one that names thousands are read', () => {
    const map = { version: 3, names: [], mappings: 'AAEAA', sourcesContent: ['\n\nrun()'] }
    const sources = Array.from({ length: 2000 }, (_, index) => `source-${index}.js`)
    writeFileSync(at('usual.js.map'), JSON.stringify({ ...map, names: ['run'], sources }))
    const sourceRoot = `${'r'.repeat(500_000)}/`
    writeFileSync(at('rooted.js.map'), JSON.stringify({ ...map, names: ['run'], sources, sourceRoot }))
    const lists = new Array<readonly never[]>(2_000_000).fill([])
    writeFileSync(at('lists.js.map'), JSON.stringify({ ...map, sources, lists }))
    const locator = createLocator(undefined)
    const place = { name: 'run', file: at('usual.js'), line: 1, column: 1 }
    const rooted = { ...place, file: at('rooted.js') }
    const ofLists = { ...place, file: at('lists.js') }
    locator.learn([ofLists, place, rooted])
    assert.deepEqual(locator.locate(place), { ...place, file: at('source-0.js'), line: 3 })
    assert.deepEqual(locator.locate(rooted), rooted)
    assert.deepEqual(locator.locate(ofLists), ofLists)
    assert.deepEqual(locator.notes(), [
      `The source map ${at('lists.js.map')} is not used: it cannot be read, is too large, is no source map, or has sections.`,
      `The source map ${at('rooted.js.map')} is refused: its source paths would take too much memory.`,
    ])
  })

  it('are refused where they have millions of mappings, in a heap of 1 GB, and another one is read', async () => {
    const many = mapsOf({ lines: ';'.repeat(60 * MB), places: 'AAEA,'.repeat(10 * MB), few: 'AAEA' })
    writeFileSync(at('maps.cpuprofile'), profileOf(many.map((file) => frameAt('run', file, 0))))
    const { all } = await withHeap(1000, () => firstLine(at('maps.cpuprofile')))
    const refused = [
      ...all.matchAll(
        /The source map \S+\/(\w+)\.js\.map is refused: its mappings would take too much memory\./g,
      ),
    ]
    assert.deepEqual(refused.map(([, name]) => name).sort(), ['lines', 'places'])
    assert.match(all, /run \(\S+\/run\.ts:3\)/)
  })

  it('are refused where they have too many mappings with those before them, and a smaller one is read', () => {
    const MILLION = 1_000_000
    const files = mapsOf({
      first: `AAEA${';'.repeat(3 * MILLION)}`,
      second: `AAEA${',A'.repeat(2 * MILLION)}`,
      third: `AAEA${',A'.repeat(MILLION / 2)}`,
    })
    const locator = createLocator(undefined)
    const places = files.map((file) => ({ name: 'run', file: at(file), line: 1, column: 1 }))
    locator.learn(places)
    assert.deepEqual(
      places.map((place) => locator.locate(place).file),
      [at('run.ts'), at('second.js'), at('run.ts')],
    )
    assert.deepEqual(locator.notes(), [
      `The source map ${at('second.js.map')} is refused: its mappings would take too much memory.`,
    ])
  })

  it('name functions of a minifier', () => {
    writeFileSync(
      at('small.js.map'),
      JSON.stringify({
        version: 3,
        sources: ['big.js'],
        names: ['priceOrders'],
        mappings: 'AAEAA',
        sourcesContent: ['\n\npriceOrders'],
      }),
    )
    const locator = createLocator(undefined)
    const place = { name: 'a', file: at('small.js'), line: 1, column: 1 }
    locator.learn([place])
    assert.deepEqual(locator.locate(place), { name: 'priceOrders', file: at('big.js'), line: 3, column: 1 })
  })

  it('give a name of a bounded length, and are refused where their names are too long together', () => {
    const map = { version: 3, sources: ['run.ts'], mappings: 'AAEAA', sourcesContent: ['\n\nrun()'] }
    writeFileSync(at('long-name.js.map'), JSON.stringify({ ...map, names: ['n'.repeat(4 * MB)] }))
    const names = Array.from({ length: 40_000 }, () => 'n'.repeat(500))
    writeFileSync(at('names.js.map'), JSON.stringify({ ...map, names }))
    writeFileSync(at('few-names.js.map'), JSON.stringify({ ...map, names: names.slice(0, 20_000) }))
    const locator = createLocator(undefined)
    const [long, many, few] = ['long-name.js', 'names.js', 'few-names.js'].map((file) => ({
      name: 'a',
      file: at(file),
      line: 1,
      column: 1,
    })) as [Place, Place, Place]
    locator.learn([long, many, few])
    const source = { name: 'n'.repeat(500), file: at('run.ts'), line: 3, column: 1 }
    assert.deepEqual(
      [long, many, few].map((place) => locator.locate(place)),
      [source, many, source],
    )
    assert.deepEqual(locator.notes(), [
      `The source map ${at('names.js.map')} is refused: its names would take too much memory.`,
    ])
  })

  it('give all functions of a source its one path, in a heap of 150 MB, however long it is', async () => {
    const count = 50_000
    const map = {
      version: 3,
      sources: [`/${'a/'.repeat(950)}run.ts`],
      names: ['n'.repeat(500)],
      mappings: `AAAAA${';AACAA'.repeat(count - 1)}`,
      sourcesContent: ['\n'.repeat(count)],
    }
    writeFileSync(at('one-path.js.map'), JSON.stringify(map))
    const frames = Array.from({ length: count }, (_, line) => frameAt('f', 'one-path.js', line))
    writeFileSync(at('one-path.cpuprofile'), profileOf(frames))
    const { line } = await withHeap(150, () => firstLine(at('one-path.cpuprofile')))
    assert.match(line, /n{500} \(\/a\/a\/.*run\.ts:\d+\)/)
  })

  it('are judged by a bounded part of their sources for each function, and by a bounded number of functions', (t) => {
    const count = 10_500
    const long = '#'.repeat(500_000)
    const mapped = (name: string, source: string, mappings: string): void =>
      writeFileSync(
        at(`${name}.js.map`),
        JSON.stringify({ version: 3, sources: ['run.ts'], names: [], mappings, sourcesContent: [source] }),
      )
    mapped('many-judged', `${long}\nprefix run() ${long}`, `AACO${';AAAA'.repeat(count - 1)}`)
    // Far in a long line, and on the line before.
    mapped('far', `${long} run() ${long}`, 'AAAiywe')
    mapped('before', `run =\n  function`, 'AACE')
    mapped('elsewhere', `run() ${long}`, 'AAAiywe')
    const placeIn = (name: string, line: number): Place => ({
      ...{ name: 'run', file: at(`${name}.js`), line, column: 1 },
    })
    const lengths: number[] = []
    t.mock.method(String.prototype, 'includes', function (this: string, ...args: [string, number?]) {
      if (args[0] === 'run') lengths.push(this.length)
      return this.indexOf(...args) >= 0
    })
    const locator = createLocator(undefined)
    const places = Array.from({ length: count }, (_, line) => placeIn('many-judged', line + 1))
    const others = ['far', 'before', 'elsewhere'].map((name) => placeIn(name, 1))
    locator.learn([...places, ...others])
    t.mock.restoreAll()
    assert.ok(lengths.length <= 10_003 && lengths.length > 9000, String(lengths.length))
    assert.ok(Math.max(...lengths) <= 2000, String(Math.max(...lengths)))
    assert.deepEqual(
      [...places.slice(-1), ...others].map((place) => locator.locate(place).file === at('run.ts')),
      [true, true, true, false],
    )
    assert.match(locator.notes().join(), /elsewhere\.js: 1 of 1 functions are not where it says\.$/)
  })

  it('lead to the first of several places that they have for a column, and else to the last before it', () => {
    const map = { version: 3, sources: ['run.ts'], names: [], mappings: 'AAAA,AACA,AACA,IACA,AACA' }
    writeFileSync(at('columns.js.map'), JSON.stringify({ ...map, sourcesContent: ['\n'.repeat(9)] }))
    const locator = createLocator(undefined)
    const places = [-7, 1, 2, 4, 5, 6].map((column) => ({
      ...{ name: 'a', file: at('columns.js'), line: 1, column },
    }))
    locator.learn(places)
    assert.deepEqual(
      places.map((place) => locator.locate(place).line),
      [1, 1, 3, 3, 4, 5],
    )
  })

  it('are looked for during a bounded time, and a sentence says so', (t) => {
    mapsOf({ timely: 'AAEA' })
    const place = { name: 'run', file: at('timely.js'), line: 1, column: 1 }
    const opened = t.mock.method(fs, 'openSync')
    const late = createLocator(undefined, undefined, 0)
    late.learn([place])
    assert.deepEqual([late.locate(place), opened.mock.callCount()], [place, 0])
    assert.match(late.notes().join(), /^Some source maps were not read: .* for at most 0 seconds\.$/)
    const timely = createLocator(undefined)
    timely.learn([place])
    assert.deepEqual([timely.locate(place).file, timely.notes()], [at('run.ts'), []])
    assert.ok(opened.mock.callCount() > 0)
  })

  it('are read by their mappings alone, and do not have the library take a forged map for its own', () => {
    const own = {
      version: 3,
      sources: ['own.js'],
      names: [],
      mappings: 'AAEA',
      sourcesContent: ['\n\nrun()'],
    }
    const forged = {
      _decodedMemo: { lastKey: -1, lastNeedle: -1, lastIndex: -1 },
      _decoded: [[[0, 0, 8, 0]]],
      resolvedSources: ['/forged.js'],
    }
    // The library would search a list of this length, whose first item is at -1, for ever.
    const endless = { ...forged, _decoded: [{ length: 2 ** 32, '-1': [-5] }], names: [] }
    const maps = { plain: own, both: { ...own, ...forged }, forged: { ...forged, names: [] }, endless }
    for (const [name, map] of Object.entries(maps))
      writeFileSync(at(`${name}-memo.js.map`), JSON.stringify(map))
    const places = Object.keys(maps).map((name) => ({
      name: 'run',
      file: at(`${name}-memo.js`),
      line: 1,
      column: 1,
    }))
    const [plain, both, ...others] = places
    const locator = createLocator(undefined)
    for (const place of places) {
      locator.learn([place])
      const isOwn = place === plain || place === both
      assert.deepEqual(locator.locate(place), isOwn ? { ...place, file: at('own.js'), line: 3 } : place)
    }
    assert.deepEqual(
      locator.notes(),
      others.map(
        ({ file }) =>
          `The source map ${file}.map is not used: it cannot be read, is too large, is no source map, or has sections.`,
      ),
    )
  })

  it('takes no value of a map that is not what the format says', async () => {
    writeFileSync(at('odd.js'), '1\n')
    const map = { version: 3, file: 'odd.js', sources: ['nowhere.js'], names: [1], mappings: 'AAAAA' }
    writeFileSync(at('odd.js.map'), JSON.stringify(map))
    writeFileSync(at('odd.cpuprofile'), profileOf([frameAt('f', 'odd.js', 0)]))
    assert.match((await firstLine(at('odd.cpuprofile'))).line, /^f \(\S+nowhere\.js:1\)/)
  })

  for (const [what, url] of [
    ['a part that is too long', `file://${at('n'.repeat(300))}.js`],
    ['a name that is too long with .map', `file://${at('n'.repeat(250))}.js`],
    ['more characters than any path may have', `file:///${'app/'.repeat(1200)}a.js`],
    ['a zero byte', `file://${at('a%00.js')}`],
    ['a file in the place of a directory', `file://${compiled}/a.js`],
  ] as const) {
    it(`are not looked for at a path that cannot be: one with ${what}`, async () => {
      writeFileSync(at('no-path.cpuprofile'), profileOf([{ ...frameAt('f', 'a.js', 0), url }]))
      assert.match((await firstLine(at('no-path.cpuprofile'))).line, /^f \(/)
    })
  }

  it('are not looked for where the code or the map names such a path, and are found beside the code', () => {
    const name = 'n'.repeat(300)
    const map = { version: 3, sources: [`${name}.ts`], names: [], mappings: 'AAEA' }
    writeFileSync(at('long-source.js'), `run()\n//# sourceMappingURL=${name}.map\n`)
    writeFileSync(at('long-source.js.map'), JSON.stringify(map))
    const locator = createLocator(undefined)
    const place = { name: 'run', file: at('long-source.js'), line: 1, column: 1 }
    locator.learn([place])
    assert.deepEqual(locator.locate(place), { ...place, file: at(`${name}.ts`), line: 3 })
    assert.deepEqual(locator.notes(), [])
  })

  it('are found in the directory of --source-maps beside one that cannot be read', () => {
    mkdirSync(at('some-maps/deep'), { recursive: true })
    const map = {
      version: 3,
      sources: ['run.ts'],
      names: [],
      mappings: 'AAEA',
      sourcesContent: ['\n\nrun()'],
    }
    writeFileSync(at('some-maps/deep/found.js.map'), JSON.stringify(map))
    // Root may read every directory, but none that is not there any more.
    const gone = at('some-maps/gone')
    mkdirSync(gone)
    const { readdirSync } = fs
    const directories: unknown[] = []
    const looked = mock.method(fs, 'readdirSync', (...args: Parameters<typeof readdirSync>) => {
      directories.push(args[0])
      if (args[0] === gone) rmSync(gone, { recursive: true, force: true })
      return readdirSync(...args)
    })
    const locator = createLocator(at('some-maps'))
    const place = { name: 'run', file: '/build/found.js', line: 1, column: 1 }
    locator.learn([place])
    looked.mock.restore()
    assert.ok(directories.includes(gone))
    assert.deepEqual(locator.locate(place), { ...place, file: at('some-maps/deep/run.ts'), line: 3 })
    // The directory itself has to be there: its name may be mistyped.
    assert.throws(() => createLocator(gone).learn([place]), /ENOENT/)
  })

  it('reads no more code and sources than a report may, and says so', async () => {
    const links = Array.from({ length: 50 }, (_, index) => at(`link-${index}`))
    writeFileSync(at('sparse'), '')
    truncateSync(at('sparse'), 60 * 1024 * 1024)
    for (const link of links) symlinkSync(at('sparse'), link)
    writeFileSync(at('many.js'), '1\n')
    const mappings = links.map((_, index) => (index === 0 ? 'AAAA' : 'ACAA')).join(';')
    writeFileSync(at('many.js.map'), JSON.stringify({ version: 3, sources: links, names: [], mappings }))
    const frames = links.map((_, line) => frameAt(`fn${line}`, 'many.js', line))
    writeFileSync(at('many.cpuprofile'), profileOf(frames))
    const { all } = await withHeap(400, () => firstLine(at('many.cpuprofile')))
    assert.match(
      all,
      /Note: Some source maps or sources were not read: a report reads code, source maps and sources of at most 268\.4 MB in total\./,
    )
    assert.doesNotMatch((await firstLine(profile)).all, /were not read/)
  })
})

/** Writes a source map of each name and its mappings. Returns the names of the code files. */
function mapsOf(mappings: Readonly<Record<string, string>>): string[] {
  const map = { version: 3, sources: ['run.ts'], names: [], sourcesContent: ['\n\nrun()'] }
  return Object.entries(mappings).map(([name, text]) => {
    writeFileSync(at(`${name}.js.map`), JSON.stringify({ ...map, mappings: text }))
    return `${name}.js`
  })
}

function frameAt(functionName: string, file: string, lineNumber: number): object {
  return { functionName, scriptId: '1', url: `file://${at(file)}`, lineNumber, columnNumber: 0 }
}

/** A profile of functions that were busy for the same time each. */
function profileOf(frames: readonly object[]): string {
  const root = {
    id: 1,
    callFrame: { functionName: '(root)', url: '' },
    children: frames.map((_, at) => at + 2),
  }
  const nodes = frames.map((callFrame, at) => ({ id: at + 2, callFrame, hitCount: 9 }))
  return JSON.stringify({ nodes: [root, ...nodes], startTime: 0, endTime: 9000 })
}
