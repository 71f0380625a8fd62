// Runs one benchmark of this directory: npm run bench -- <name> [its parameters]
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
/** An .mjs here is a benchmark, but for this file and for parts of another one. */
const PARTS = ['run.mjs', 'cpu-dump-names.mjs']
const BENCHMARKS = readdirSync(here)
  .filter((file) => file.endsWith('.mjs') && !PARTS.includes(file))
  .map((file) => basename(file, '.mjs'))
const [name, ...parameters] = process.argv.slice(2)
if (!BENCHMARKS.includes(name)) {
  console.error(`npm run bench -- <name> [parameters]; the names: ${BENCHMARKS.join(', ')}`)
  process.exit(2)
}
process.exit(
  spawnSync(process.execPath, [join(here, `${name}.mjs`), ...parameters], { stdio: 'inherit' }).status ?? 1,
)
