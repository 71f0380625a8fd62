// Runs the acceptance items: long or timed runs that `npm test` has no time for. One line per item, with its figure.
//
//   npm run accept [-- item …]
//
// An item is a script beside this one. The last line that it prints is its figure; any exit code but 0 is a failure. What it writes
// to stderr, such as a line for each row of a table, is shown as it comes.
// Expects a built dist/.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAX_ITEM_MS = 90 * 60_000

const here = dirname(fileURLToPath(import.meta.url))
const items = readdirSync(here)
  .filter((file) => file.endsWith('.mjs') && file !== 'run.mjs')
  .map((file) => file.slice(0, -'.mjs'.length))
const named = process.argv.slice(2)
const unknown = named.filter((item) => !items.includes(item))
if (unknown.length > 0) {
  console.error(`no such item: ${unknown.join(', ')}; there are ${items.join(', ')}`)
  process.exit(2)
}

let failures = 0
for (const item of named.length > 0 ? named : items) {
  const startedAt = performance.now()
  const { status, stdout, error } = spawnSync(process.execPath, [join(here, `${item}.mjs`)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: MAX_ITEM_MS,
    killSignal: 'SIGKILL',
  })
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const figure = stdout.trimEnd().split('\n').at(-1)
  console.log(`${status === 0 ? 'PASS' : 'FAIL'}  ${item}  ${figure}  (${seconds} s)`)
  if (status === 0) continue
  failures++
  console.error(`${item}: ${error?.message ?? `it ended with ${status}`}\n`)
}
process.exit(failures === 0 ? 0 : 1)
