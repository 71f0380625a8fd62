// What a server under constant load pays for being watched: requests per second, p50, p99 and p99.9 of the latency and CPU per
// request at 30 % and at 80 % of its capacity, with nothing, with this library, and with its peers. Server and load have a core
// each. The load is open: requests are due at even distances whatever the answers do. The capacity is measured first. Each turn
// is a fresh process, the variants take turns; `nothing` runs twice, so that a run shows what it can resolve.
//
//   npm run bench -- idle [--rounds 5] [--seconds 20] [--only <part of a name>,…] [--json <file>]
//
// A turn takes 2 * seconds + 11 s: with the defaults all take 35 minutes. The exit code is 1 when a promise does not hold. The peers are
// installed on first use into test/tools/bench/.built. A new one is a line in idle/variants.ts and a setup in idle/server.cjs.
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'

const { bench } = requireTs('./idle/bench.ts', import.meta.url)
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
    only: { type: 'string' },
    json: { type: 'string' },
  },
})
const { rounds, seconds, only, json } = values
const holds = await bench({
  rounds: Number(rounds),
  seconds: Number(seconds),
  only: only?.split(','),
  json,
})
process.exit(holds ? 0 : 1)
