// Shoots at a process with the monitor, and checks what must hold whatever happens. Expects a built dist/.
//
//   npm run test:faults [-- --seeds <number> --first <seed> --seconds <each>]
//
// A seed stands for one sequence of faults: a failure is replayed with --first <seed> --seeds 1. Prints a line per seed; of one that
// fails also what was wrong, the faults and what the monitor said.
import { parseArgs } from 'node:util'
import { campaign } from './campaign.mjs'
import { whyNot } from './host.mjs'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    first: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
  },
})
const [seeds, first, seconds] = [values.seeds, values.first, values.seconds].map(Number)
if (whyNot.root !== undefined)
  console.log(`full disk, read-only disk and memory limit are left out: ${whyNot.root}`)
if (whyNot.clock !== undefined) console.log(`steps of the clock are left out: ${whyNot.clock}`)

let failed = 0
for (let seed = first; seed < first + seeds; seed++) {
  const startedAt = performance.now()
  const { wrong, faults, dumps, skips, failures, said } = await campaign(seed, seconds)
  const took = Math.round((performance.now() - startedAt) / 1000)
  const verdict = wrong.length === 0 ? 'PASS' : 'FAIL'
  console.log(
    `${verdict}  seed ${seed}: ${faults} faults, ${dumps} dumps, ${skips} skips, ${failures} failures (${took} s)`,
  )
  if (wrong.length === 0) continue
  failed++
  for (const each of wrong) console.log(`  ${each}`)
  for (const saying of said) console.log(`    ${JSON.stringify(saying)}`)
}
process.exit(failed === 0 ? 0 : 1)
