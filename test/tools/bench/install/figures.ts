import { digits, spreadOf, withSpread } from '../output/statistics'
import { formatTable } from '../output/table'

export interface Installation {
  /** Packages that it brings, itself included. */
  readonly packages: number
  readonly bytes: number
  /** `npm install` with a filled cache. */
  readonly ms: readonly number[]
  /** Whether it installs and loads without a compiler. */
  readonly needsCompiler: boolean
  /** It asks a server other than the registry for a compiled binary first. */
  readonly downloads: boolean
}

/** An empty program that requires something first. */
export interface Start {
  readonly ms: readonly number[]
  readonly rssMb: readonly number[]
}

export interface Row {
  readonly name: string
  /** None for what comes with another row's package. */
  readonly installation?: Installation | undefined
  readonly start?: Start | undefined
  readonly reason?: string | undefined
}

/** The row that the others' starts are compared with. */
export const EMPTY = 'an empty program'

export function tableOf(rows: readonly Row[]): string {
  const head = ['', 'packages', 'MB', 'install s', 'needs a compiler', 'start ms', 'RSS MB']
  const empty = rows.find(({ name }) => name === EMPTY)?.start
  return formatTable(
    head,
    rows.map(({ name, installation, start, reason }) => {
      if (reason !== undefined) return [name, reason]
      const own = name === EMPTY
      return [
        name,
        ...(installation ? cellsOf(installation) : ['', '', '', '']),
        more(start?.ms, own ? undefined : empty?.ms),
        more(start?.rssMb, own ? undefined : empty?.rssMb),
      ]
    }),
  )
}

function cellsOf({ packages, bytes, ms, needsCompiler, downloads }: Installation): string[] {
  const compiler = needsCompiler ? (downloads ? 'yes, or a download' : 'yes') : 'no'
  const seconds = ms.map((each) => each / 1000)
  return [String(packages), digits(bytes / 1e6), withSpread(spreadOf(seconds)), compiler]
}

/** Of the medians: `+12`. What is not compared stands as it is. */
function more(values: readonly number[] | undefined, base: readonly number[] | undefined): string {
  if (!values || values.length === 0) return '-'
  const { median } = spreadOf(values)
  if (!base) return digits(median)
  const difference = median - spreadOf(base).median
  return `${difference < 0 ? '' : '+'}${digits(difference)}`
}
