// What the leak rule finds, and what it costs in false alarms, beside other rules: on drawn series of heap sizes (clean programs
// and leaks, many seeds each, collections spaced by the growth of the heap as V8 spaces them) and on ten recorded programs.
// Prints one table for all rules and one for series and seeds that the rule's numbers were not chosen with; the exit code is 1
// when this library misses its targets. A few minutes on one core.
//
//   npm run bench -- leak [--seeds 20] [--json <file>]
//   npm run bench -- leak record [seconds per program, default 600] [programs, default all]
//   npm run bench -- leak look
//
// `record` runs the programs of leak/programs side by side, their clocks sped up, and writes leak/traces. The faster they
// run, the more seldom V8 collects. `look` measures the pause in which the allocation sites are read.
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'
import { lookAtPauses } from './leak/look.mjs'
import { record } from './leak/record.mjs'

const [first, ...others] = process.argv.slice(2)
if (first === 'record') {
  await record(others[0], others.slice(1))
} else if (first === 'look') {
  lookAtPauses()
} else {
  const { values } = parseArgs({
    options: { seeds: { type: 'string', default: '20' }, json: { type: 'string' } },
  })
  const { bench } = requireTs('./leak/bench.ts', import.meta.url)
  process.exit((await bench({ seeds: Number(values.seeds), json: values.json })) ? 0 : 1)
}
