import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'

interface Judged {
  readonly kind: string
  readonly line: string
  readonly rows: readonly { readonly name: string; readonly value: number }[]
  readonly durationMs?: number
}

describe('whether a first line names the first row of DevTools', () => {
  let judge: (judged: Judged) => string | undefined

  before(async () => {
    // A variable, because there are no types of it.
    const module: string = './first-row.mjs'
    judge = ((await import(module)) as { judge: typeof judge }).judge
  })

  const rowsOf = (rows: Record<string, number>): Judged['rows'] =>
    Object.entries(rows).map(([name, value]) => ({ name, value }))

  it('accepts the function of the first row, and no other', () => {
    const rows = rowsOf({ '(idle)': 900, render: 80, parse: 20 })
    const line = (name: string): string => `${name} (/app/a.js:7) used 80.0 % of the busy CPU time.`
    assert.equal(judge({ kind: 'cpuprofile', line: line('render'), rows, durationMs: 1000 }), undefined)
    for (const name of ['parse', 'renderAll'])
      assert.match(judge({ kind: 'cpuprofile', line: line(name), rows, durationMs: 1000 }) ?? '', /is render/)
  })

  it('accepts that nothing stands out where the first row is small, and not where it is large', () => {
    const line = 'No single function stands out: the largest, one, used 10.0 % of the busy CPU time.'
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`step${at}`, 10]))
    assert.equal(judge({ kind: 'cpuprofile', line, rows: rowsOf(many), durationMs: 100 }), undefined)
    const rows = rowsOf({ '(idle)': 900, render: 80, parse: 20 })
    assert.match(
      judge({ kind: 'cpuprofile', line, rows, durationMs: 1000 }) ?? '',
      /render stands out with 80 %/,
    )
  })

  it('takes the share of the first row of the whole time, of which the other rows are not all', () => {
    const line = 'No single function stands out: the largest, one, used 10.0 % of the busy CPU time.'
    const rows = rowsOf({ one: 10, two: 9, three: 8 })
    assert.equal(judge({ kind: 'cpuprofile', line, rows, durationMs: 100 }), undefined)
    assert.equal(judge({ kind: 'heapprofile', line, rows }), undefined)
  })

  it('accepts an idle thread where DevTools shows little, and not where it shows much', () => {
    const line = 'No function stands out: this thread was idle for 95.0 % of the time.'
    const judgeBusy = (busy: number): string | undefined => {
      const rows = rowsOf({ '(idle)': 1000 - busy, render: busy })
      return judge({ kind: 'cpuprofile', line, rows, durationMs: 1000 })
    }
    assert.equal(judgeBusy(50), undefined)
    assert.match(judgeBusy(500) ?? '', /50 % busy/)
  })

  it('looks below the containers of a heap for the class that fills it', () => {
    const rows = rowsOf({ global: 97, Map: 96, Session: 95, Array: 90, '(string)': 80 })
    const line = (name: string): string => `50 objects of class ${name} retain 1.0 MB, held by Map \`all\`.`
    assert.equal(judge({ kind: 'heapsnapshot', line: line('Session'), rows }), undefined)
    assert.match(judge({ kind: 'heapsnapshot', line: line('(string)'), rows }) ?? '', /is Session/)
  })

  it('asks for the largest container where no class stands out', () => {
    const rows = rowsOf({ global: 80, Function: 50, '(string)': 30 })
    const line = (name: string): string =>
      `No single class stands out: the largest, ${name}, retains 50.0 % of 3.0 MB.`
    assert.equal(judge({ kind: 'heapsnapshot', line: line('Function'), rows }), undefined)
    assert.match(judge({ kind: 'heapsnapshot', line: line('Map'), rows }) ?? '', /is Function/)
  })
})
