// Runs one benchmark of this directory: npm run bench -- <name> [its parameters]
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BENCHMARKS = ['cluster', 'cpu-dump', 'heap-dump', 'leak', 'snapshot-need', 'startup', 'watchdog']
const [name, ...parameters] = process.argv.slice(2)
const script = fileURLToPath(new URL(`${name}.mjs`, import.meta.url))
if (!BENCHMARKS.includes(name) || !existsSync(script)) {
  console.error(`npm run bench -- <name> [parameters]; the names: ${BENCHMARKS.join(', ')}`)
  process.exit(2)
}
process.exit(spawnSync(process.execPath, [script, ...parameters], { stdio: 'inherit' }).status ?? 1)
