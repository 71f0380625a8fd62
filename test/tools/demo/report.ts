import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

const CLI = resolve(__dirname, '../../../dist/reader/cli.js')
const DEADLINE_MS = 60_000

/** What the report says of an artefact, in one line, and the page that shows it. */
export interface WrittenReport {
  readonly answer: string
  readonly page: string
}

/** Has the command line read an artefact and write its page beside it; rejects unless the answer names the culprit. */
export async function writeReport(artefact: string, culprit: string): Promise<WrittenReport> {
  const page = `${artefact}.html`
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'report', artefact, '--out', page], {
    timeout: DEADLINE_MS,
  })
  const [answer = ''] = stdout.split('\n')
  if (!answer.includes(culprit))
    throw new Error(`the report of ${artefact} does not name ${culprit}: ${answer}`)
  return { answer, page }
}
