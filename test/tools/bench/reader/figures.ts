import { type Report, settingInWords } from '../output/report'
import { digits, spreadOf, withSpread } from '../output/statistics'
import { formatTable } from '../output/table'

export const OURS = 'cpu-memory-monitor report'

/** Of a snapshot of 600 MB and a profile of 30 s. */
const MOST_SECONDS = 120
const MOST_MB = 4000
const MOST_PAGE_MB = 3

/** One reader of a file, over the rounds. */
export interface Row {
  readonly name: string
  readonly seconds: readonly number[]
  readonly peakMb: readonly number[]
  readonly reason?: string | undefined
}

export interface Rows {
  readonly snapshot: { readonly fileMb: number; readonly readers: readonly Row[] }
  readonly profile: { readonly fileMb: number; readonly pageMb: number; readonly reader: Row }
}

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<Rows>): string {
  const { snapshot, profile } = rows
  return [
    settingInWords(setting),
    `rounds: ${parameters['rounds']}, the readers in turn; median (least-most)`,
    '',
    formatTable(
      [`a heap snapshot of ${digits(snapshot.fileMb)} MB`, 's', 'peak MB'],
      snapshot.readers.map((row) =>
        row.reason === undefined ? [row.name, ...cellsOf(row)] : [row.name, row.reason],
      ),
    ),
    '',
    formatTable(
      [
        `a CPU profile of ${parameters['seconds']} s, ${digits(profile.fileMb)} MB`,
        's',
        'peak MB',
        'page MB',
      ],
      [[profile.reader.name, ...cellsOf(profile.reader), digits(profile.pageMb)]],
    ),
    '',
    ...verdicts(rows),
  ].join('\n')
}

function cellsOf({ seconds, peakMb }: Row): string[] {
  return [withSpread(spreadOf(seconds)), withSpread(spreadOf(peakMb), (mb) => mb.toFixed(0))]
}

function verdicts({ snapshot, profile }: Rows): string[] {
  const median = (values: readonly number[]): number => spreadOf(values).median
  const ours = snapshot.readers.find(({ name }) => name === OURS)
  const peers = snapshot.readers.filter(({ name, reason }) => name !== OURS && reason === undefined)
  if (ours === undefined) throw new Error('the report was not measured')
  const [seconds, peakMb] = [median(ours.seconds), median(ours.peakMb)]
  return [
    verdict(
      `a snapshot takes at most ${MOST_SECONDS} s and ${MOST_MB} MB`,
      seconds <= MOST_SECONDS && peakMb <= MOST_MB,
    ),
    ...peers.map((peer) =>
      verdict(
        `no slower and no larger than ${peer.name}`,
        seconds <= median(peer.seconds) && peakMb <= median(peer.peakMb),
      ),
    ),
    verdict(`the page of the profile has less than ${MOST_PAGE_MB} MB`, profile.pageMb < MOST_PAGE_MB),
  ]
}

function verdict(promise: string, holds: boolean): string {
  return `${holds ? 'holds' : 'DOES NOT HOLD'}: ${promise}`
}
