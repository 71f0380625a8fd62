// 30 artefacts that Node.js 20 to 26, its inspector and Chromium have written, or that are rebuilt from the form that other tools
// write: the first line of `report` names what the first row of Chrome's DevTools names. programs/first-row.mjs has the rule.
// CMM_ARTEFACTS (names, separated by commas). Needs Chromium, and npm for the Node.js versions that are missing.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { judge } from './programs/first-row.mjs'
import { withDevTools } from './programs/open-in-devtools.mjs'
import { ARTEFACTS } from './programs/reader-artefacts.mjs'

const CLI = fileURLToPath(new URL('../../../dist/reader/cli.js', import.meta.url))

const only = process.env.CMM_ARTEFACTS?.split(',')
const chosen = ARTEFACTS.filter(({ name }) => only === undefined || only.includes(name))
const directory = mkdtempSync(join(tmpdir(), 'reader-accept-'))
let right = 0
try {
  await withDevTools(async (devTools) => {
    for (const { name, make } of chosen) {
      try {
        const file = await make(directory)
        const { stdout, stderr } = spawnSync(process.execPath, [CLI, 'report', file], { encoding: 'utf8' })
        const line = stdout.split('\n', 1)[0] || stderr
        const kind = extname(file).slice(1)
        const wrong = judge({
          kind,
          line,
          rows: await devTools.rows(file),
          durationMs: durationOf(kind, file),
        })
        if (wrong === undefined) right++
        console.error(`${name}: ${wrong ?? line}`)
      } catch (error) {
        console.error(`${name}: ${error.message}`)
      }
    }
  })
} finally {
  rmSync(directory, { recursive: true, force: true })
}
console.log(`the first line names the first row of DevTools in ${right} of ${chosen.length} artefacts`)
assert.equal(right, chosen.length)

function durationOf(kind, file) {
  if (kind !== 'cpuprofile') return undefined
  const { startTime, endTime } = JSON.parse(readFileSync(file, 'utf8'))
  return (endTime - startTime) / 1000
}
