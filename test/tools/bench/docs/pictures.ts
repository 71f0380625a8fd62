import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { type Row as HeapLimitRow } from '../heap-limit/figures'
import { costOf, type Row as IdleRow } from '../idle/figures'
import type { Report } from '../output/report'
import { spreadOf } from '../output/statistics'
import { install, nameOf } from '../peers'
import { resultOf } from './pages'

const PLOT = '@observablehq/plot@0.6.17'
const DOM = 'linkedom@0.18.15'
const OURS = /^cpu-memory-monitor/

interface Bar {
  readonly name: string
  readonly group: string
  readonly value: number
  readonly least: number
  readonly most: number
}

/** As much of the library as is used here. */
interface Plot {
  plot(options: object): { setAttribute(name: string, value: string): void; outerHTML: string }
  barX(data: readonly Bar[], options: object): unknown
  ruleX(data: readonly number[], options?: object): unknown
  ruleY(data: readonly Bar[], options: object): unknown
}
interface Dom {
  readonly parseHTML: (text: string) => { document: object }
}

/** Each picture by its file in docs. The two libraries are installed on first use, as the peers are. */
export async function pictures(): Promise<Readonly<Record<string, string>>> {
  const [plot, { parseHTML }] = [await load<Plot>(PLOT), await load<Dom>(DOM)]
  const draw = (bars: readonly Bar[], label: string, from: number): string => {
    const { document } = parseHTML('<!doctype html><html><body></body></html>')
    const bar = { y: 'name', fy: 'group', sort: { y: null } }
    const svg = plot.plot({
      document,
      width: 760,
      marginLeft: 230,
      marginRight: 70,
      style: { background: 'white', color: 'black' },
      x: { label, grid: true, domain: domainOf(bars, from) },
      y: { label: null, domain: [...new Set(bars.map(({ name }) => name))] },
      fy: {
        label: null,
        axis: new Set(bars.map(({ group }) => group)).size > 1 ? 'right' : null,
        domain: [...new Set(bars.map(({ group }) => group))],
      },
      marks: [
        plot.barX(bars, {
          ...bar,
          x1: from,
          x2: 'value',
          fill: ({ name }: Bar) => (OURS.test(name) ? '#2f6fb0' : '#b5b5b5'),
        }),
        plot.ruleY(bars, { ...bar, x1: 'least', x2: 'most', stroke: 'black' }),
        plot.ruleX([from]),
      ],
    })
    svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
    return `${svg.outerHTML}\n`
  }
  return {
    'benchmarks-idle.svg': draw(idleBars(), 'CPU per request at 80 % of capacity, ratio to nothing', 1),
    'benchmarks-heap-limit.svg': draw(heapLimitBars(), 'ms from the heap limit to the death', 0),
  }
}

function domainOf(bars: readonly Bar[], from: number): [number, number] {
  return [Math.min(from, ...bars.map(({ least }) => least)), Math.max(...bars.map(({ most }) => most))]
}

function idleBars(): Bar[] {
  const { rows } = resultOf<Report<readonly IdleRow[]>>('idle')
  return rows.flatMap(({ variant }) => {
    const { ratio } = costOf(rows, variant, 80) ?? {}
    if (!ratio) return []
    return [{ name: variant, group: '', value: ratio.median, least: ratio.least, most: ratio.most }]
  })
}

function heapLimitBars(): Bar[] {
  const { rows } = resultOf<Report<readonly HeapLimitRow[]>>('heap-limit')
  return rows.flatMap(({ way, limitMb, deaths }) => {
    const times = deaths.flatMap(({ afterMs }) => afterMs ?? [])
    if (times.length === 0) return []
    const { median, least, most } = spreadOf(times)
    return [{ name: way, group: `${limitMb} MB`, value: median, least, most }]
  })
}

async function load<Module>(peer: string): Promise<Module> {
  const installed = install(peer)
  if ('reason' in installed) throw new Error(`${peer}: ${installed.reason}`)
  const file = createRequire(`${installed.modules}/x.js`).resolve(nameOf(peer))
  return (await import(pathToFileURL(file).href)) as Module
}
