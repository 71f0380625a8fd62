import { readFileSync } from 'node:fs'
import { textOf as detect } from '../detect/text'
import { textOf as heapLimit } from '../heap-limit/text'
import { textOf as idle } from '../idle/bench'
import { textOf as install } from '../install/bench'
import { type Rows as Leak, textOf as leak } from '../leak/text'
import type { Report } from '../output/report'
import { digits } from '../output/statistics'
import { textOf as reader } from '../reader/figures'
import { percentOfCore, type Rows as Watchdog, textOf as watchdog } from '../watchdog/text'

interface HeapDump {
  readonly rows: readonly {
    readonly sizeMb: number
    readonly shape: string
    readonly way: string
    readonly pauseMs: number
  }[]
}

const RESULTS = `${__dirname}/../results`

/** The benchmarks whose table in docs/benchmarks.md is printed from their figures. */
const TEXTS: Readonly<Record<string, () => string>> = {
  idle: () => idle(resultOf('idle')),
  watchdog: () => watchdog(resultOf('watchdog')),
  install: () => install(resultOf('install')),
  detect: () => detect(resultOf('detect')),
  'heap-limit': () => heapLimit(resultOf('heap-limit')),
  reader: () => reader(resultOf('reader')),
  leak: () => {
    const { parameters, rows } = resultOf<Report<Leak>>('leak')
    return leak(parameters, rows)
  },
}

/** A figure in running text: each match of a pattern has it in its first group. */
interface Figure {
  readonly page: string
  readonly pattern: RegExp
  readonly value: () => string
}

const watching = (name: string) => () => {
  const found = resultOf<{ rows: Watchdog }>('watchdog').rows.cases.find((each) => each.name === name)
  return percentOfCore(found?.usPerSecond ?? NaN)
}
const pauseMs = (way: string) =>
  resultOf<HeapDump>('heap-dump').rows.find(
    (row) => row.sizeMb === 200 && row.shape === 'objects' && row.way === way,
  )?.pauseMs ?? NaN
const forked = () => digits(pauseMs('fork'))
const inPlace = () => (pauseMs('v8') / 1000).toFixed(1)

export const FIGURES: readonly Figure[] = [
  { page: 'README.md', pattern: /Watching takes ([\d.]+) % of a core/g, value: watching('watchdog') },
  { page: 'README.md', pattern: /pauses for ([\d.]+) ms/g, value: forked },
  { page: 'README.md', pattern: /`v8\.writeHeapSnapshot` takes ([\d.]+) s/g, value: inPlace },
  {
    page: 'docs/README.zh-CN.md',
    pattern: /监视在主线程上只占用单核的 ([\d.]+) %/g,
    value: watching('watchdog'),
  },
  { page: 'docs/README.zh-CN.md', pattern: /进程停顿 ([\d.]+) ms/g, value: forked },
  { page: 'docs/README.zh-CN.md', pattern: /`v8\.writeHeapSnapshot` 需要 ([\d.]+) s/g, value: inPlace },
  { page: 'docs/costs.md', pattern: /On the main thread ([\d.]+) % of a core/g, value: watching('watchdog') },
  { page: 'docs/costs.md', pattern: /`watchdog:\s+false` ([\d.]+) %/g, value: watching('main thread') },
  { page: 'docs/costs.md', pattern: /approach of 1\.x ([\d.]+) %/g, value: watching('1.x') },
]

export const TABLES = 'docs/benchmarks.md'
export const PAGES = [...new Set([TABLES, ...FIGURES.map(({ page }) => page)])]

/** A page with the tables and figures of the results. @throws Error for a table or figure that the page does not have. */
export function updated(page: string, text: string): string {
  let result = text
  for (const [name, table] of Object.entries(page === TABLES ? TEXTS : {})) {
    const block = new RegExp(`(<!-- ${name} -->\n\n\`\`\`text\n)[^]*?(\`\`\`)`)
    if (!block.test(result)) throw new Error(`${page} has no table of ${name}`)
    result = result.replace(block, (_, before: string, after: string) => `${before}${table()}\n${after}`)
  }
  for (const { pattern, value } of FIGURES.filter((figure) => figure.page === page)) {
    if (result.search(pattern) < 0) throw new Error(`${page} has nothing like ${pattern.source}`)
    result = result.replace(pattern, (all: string, figure: string) => all.replace(figure, value()))
  }
  return result
}

export function resultOf<Result>(name: string): Result {
  return JSON.parse(readFileSync(`${RESULTS}/${name}.json`, 'utf8')) as Result
}
