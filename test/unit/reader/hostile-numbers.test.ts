import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { listIncidents } from '../../../src/reader/list'
import { writeText } from '../../../src/reader/output/text'
import { writePage } from '../../../src/reader/page/page'
import { createReport } from '../../../src/reader/report'
import { scratch } from '../../e2e/reader/command'

const { folder, remove } = scratch()
after(remove)

/** Numbers as a file can have them: JSON has no NaN, but 1e999 is Infinity. */
const HOSTILE = [
  '1e999',
  '-1e999',
  '1.7e308',
  '-1.7e308',
  '9007199254740991',
  '-9007199254740991',
  '-1',
  '5e-324',
  'null',
]

const frame = (functionName: string, number: string): string =>
  `{"functionName":"${functionName}","url":"file:///a.js","lineNumber":${number},"columnNumber":${number}}`

const cpuProfile = (number: string): string => `{
  "nodes": [
    {"id":1,"callFrame":${frame('(root)', '0')},"children":[2,3]},
    {"id":2,"callFrame":${frame('work', number)},"hitCount":${number},"positionTicks":[{"line":${number},"ticks":${number}}]},
    {"id":3,"callFrame":${frame('play', '7')},"hitCount":3}
  ],
  "startTime":${number},"endTime":${number},
  "samples":[2,3,2,3,2,3],"timeDeltas":[${number},100,${number},100,${number},100]
}`

const withoutTimes = (number: string): string => cpuProfile(number).replace(/"samples".*\]/, '"samples":[]')

const heapProfile = (number: string): string =>
  `{"head":{"callFrame":${frame('(root)', '0')},"selfSize":0,"children":[
    {"callFrame":${frame('work', number)},"selfSize":${number},"children":[]},
    {"callFrame":${frame('play', '7')},"selfSize":${number},"children":[]}]}}`

const sidecar = (number: string): string => `{
  "tool":"cpu-memory-monitor",
  "why":{"kind":"cpu","rule":"threshold","details":{"threshold":${number},"reading":${number}},
    "readings":[{"at":"2023-11-14T22:13:19Z","value":${number}},{"at":"2023-11-14T22:13:20Z","value":90}]},
  "how":{"way":"inspector","durationMs":${number},"pauseMs":${number},"notes":{"busyMs":${number}}},
  "where":{"pid":${number},"startedAt":"2023-11-14T22:13:21Z"},
  "flight":{"endedAt":"2023-11-14T22:13:22Z","secondsAgo":[2,${number.replace(/.*(e|\d{9}).*/, '1')},0],
    "cpuPercent":[10,${number},30],"rssMb":[${number},200,300],"heapUsedMb":[1,2,3],"loopDelayMs":[${number},1,2]},
  "makeup":{"threads":[{"kind":"main","cpuPercent":${number}},{"kind":"worker","id":${number},"cpuPercent":5}],
    "memory":{"heapTotal":${number},"external":${number},"arrayBuffers":${number},"rest":4,"workers":[{"id":1,"heapTotal":${number}}]}}
}`

describe('the time of a dump in its description', () => {
  const whenOf = async (name: string, startedAt: string): Promise<string | undefined> => {
    const description = sidecar('1').replace('2023-11-14T22:13:21Z', startedAt)
    return (await pageOf(name, cpuProfile('1'), description)).text.match(/^When: (.*)$/m)?.[1]
  }

  it('is unknown where no dump can have it', async () => {
    const later = new Date(Date.now() + 25 * 3600 * 1000).toISOString()
    for (const [index, time] of ['+275760-09-13T00:00:00.000Z', '2008-12-31T23:59:59Z', later].entries())
      assert.equal(await whenOf(`never-${index}`, time), 'unknown')
  })

  it('is shown where one can, also one that a wrong clock has put into the near future', async () => {
    const soon = new Date(Date.now() + 23 * 3600 * 1000).toISOString()
    for (const [index, time] of ['2009-01-01T00:00:00.000Z', soon].entries())
      assert.equal(await whenOf(`once-${index}`, time), time)
  })
})

async function pageOf(
  name: string,
  content: string,
  description: string,
): Promise<{ page: string; text: string }> {
  const directory = join(folder, name)
  mkdirSync(directory)
  const file = join(
    directory,
    name.includes('heap') ? 'memory-7-1700000000000.heapprofile' : 'cpu-7-1700000000000.cpuprofile',
  )
  writeFileSync(file, content)
  writeFileSync(`${file}.json`, description)
  const report = await createReport({
    paths: [directory],
    onProgress: () => undefined,
    runAnalysis: (start) => start().result,
  })
  return { page: writePage(report, { script: '', style: '' }), text: writeText(report) }
}

/** All coordinates and sizes of the drawings. */
function coordinates(page: string): string[] {
  return [...page.matchAll(/ (?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|points|viewBox)="([^"]*)"/g)].flatMap(
    ([, value = '']) => value.split(/[ ,]/),
  )
}

/** All that the flame graphs are drawn from. */
function flames(page: string): unknown[] {
  const [, json = '[]'] = /id="data">\s*(.*)\s*<\/script>/.exec(page) ?? []
  const values = (value: unknown): unknown[] =>
    typeof value === 'object' && value !== null ? Object.values(value).flatMap(values) : [value]
  return values(JSON.parse(json))
}

describe('a number of a file that no process can have', () => {
  for (const number of HOSTILE)
    for (const [kind, profile] of Object.entries({ cpu: cpuProfile, hits: withoutTimes, heap: heapProfile }))
      it(`is drawn nowhere but at a finite place: ${number} in ${kind}`, async () => {
        const { page, text } = await pageOf(`${kind}${number}`, profile(number), sidecar(number))
        const drawn = coordinates(page)
        assert.ok(drawn.length > 10, page)
        for (const value of drawn) assert.match(value, /^-?\d+(\.\d+)?$/, page)
        for (const value of flames(page))
          assert.ok(
            typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value)),
            String(value),
          )
        for (const output of [page, text]) assert.doesNotMatch(output, /NaN|Infinity/)
      })

  it('is left out where it has the wrong sign, is no whole number, or is too large', async () => {
    const hostile = (key: string): string =>
      sidecar('20')
        .replace('"pid":20', '"pid":-1.5')
        .replace('"pauseMs":20', '"pauseMs":-1e15')
        .replace('"threshold":20', '"threshold":9e14')
        .replace('"cpuPercent":20', '"cpuPercent":9e15')
        .replace('"heapTotal":20', '"heapTotal":-9e15')
        .replace('"id":20', '"id":1.5')
        .replaceAll('"rule":"threshold"', `"rule":"${key}"`)
    const { text } = await pageOf('cpu-signs', cpuProfile('100'), hostile('threshold'))
    assert.doesNotMatch(text, /-1\.5|\d{14}|-\d+ ms|worker 1\.5/)
    assert.match(text, /threshold unknown/)
    const own = await pageOf(
      'cpu-signs-own',
      cpuProfile('100'),
      sidecar('20').replace('"pid":20', '"pid":4194304'),
    )
    assert.match(own.text, /4194304/)
    assert.match(own.text, /20 ms/)
    const named = sidecar('-5').replace('"rule":"threshold"', '"rule":"balance"')
    assert.match((await pageOf('cpu-named', cpuProfile('100'), named)).text, /threshold -5/)
  })

  it('and the numbers of a process are drawn as they are', async () => {
    const { page, text } = await pageOf('cpu-own', cpuProfile('100'), sidecar('20'))
    assert.match(text, /^work .* used 60\.0 % of the busy/)
    assert.match(page, /threshold 20\.0 %/)
    assert.equal(page.match(/<polyline /g)?.length, 4)
    assert.ok(flames(page).includes(300))
  })

  it('as the time in a name is the last one that there is', () => {
    const directory = join(folder, 'late')
    mkdirSync(directory)
    writeFileSync(join(directory, 'cpu-7-9007199254740991.cpuprofile'), cpuProfile('1'))
    const [{ at } = { at: '' }] = listIncidents({
      command: 'ls',
      directory,
      sinceMs: 0,
      sort: 'time',
      isJson: true,
    }).incidents
    assert.match(at, /^\+275760-/)
  })
})
