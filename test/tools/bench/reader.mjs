// Reads large files with `report`, and the same heap snapshot with memlab: time, and the most resident memory of the processes
// together. `object-size` lists the largest objects by what they retain, `shape` the classes; `report` answers both and says what
// holds them. Then the report of a CPU profile of the TypeScript compiler at work, which has many functions and deep stacks.
//
//   npm run bench -- reader [--mb 600] [--seconds 30] [--rounds 1] [--json <file>]
//
// With the defaults 10 minutes, and some 4 GB of memory. memlab comes from npm, once. A shorter run:
// --mb 100 --seconds 5.
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'

const { bench } = requireTs('./reader/bench.ts', import.meta.url)
const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '600' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
await bench({
  mb: Number(values.mb),
  seconds: Number(values.seconds),
  rounds: Number(values.rounds),
  json: values.json,
})
