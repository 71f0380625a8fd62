import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'

/** Where and when a benchmark ran: without it a figure means nothing. */
export interface Setting {
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  /** Average of the last minute, before and after the run. On a quiet machine the first is below 0.3. */
  readonly load: readonly [number, number]
}

/** What `--json` writes: the figures, and what the table shows of them. */
export interface Report<Rows> {
  readonly setting: Setting
  /** How it was called: rounds, seconds and the like. */
  readonly parameters: Readonly<Record<string, string | number>>
  readonly rows: Rows
}

/** Runs a benchmark and adds the setting to its rows. */
export async function reported<Rows>(
  parameters: Report<Rows>['parameters'],
  measure: () => Promise<Rows>,
): Promise<Report<Rows>> {
  const before = oneMinuteLoad()
  const rows = await measure()
  const setting = {
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    load: [before, oneMinuteLoad()] as const,
  }
  return { setting, parameters, rows }
}

/** The lines above a table. */
export function settingInWords({ node, cpu, cores, memoryGb, load }: Setting): string {
  const [before, after] = load.map((value) => value.toFixed(2))
  return `Node ${node}, ${cores} cores of ${cpu}, ${memoryGb} GB; load ${before} before, ${after} after`
}

/** The table to stdout, the figures to the file. */
export function deliver<Rows>(report: Report<Rows>, text: string, json: string | undefined): void {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(text)
}

/** What goes on, to stderr: stdout has the table alone. */
export function progress(line: string): void {
  console.error(line)
}

function oneMinuteLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100
}
