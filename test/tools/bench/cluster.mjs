// What replacing workers costs the clients, by this library, by its peers and by the code that it goes back to: requests that
// failed and how, workers replaced, the fewest that accepted at one time, the time during which fewer than three did, the most
// processes. Three workers with 150 MB each, twenty clients on keep-alive connections who retry nothing; the variants take
// turns. Prints one table; the exit code is 1 when this library dropped a request or fell below its capacity.
//
//   npm run bench -- cluster [profiles, default fast,mix] [seconds, default 15] [rounds, default 1] [parts of names, default all]
//
// The peers are installed on first use into test/tools/bench/.built. A new one is a line in cluster/variants.ts.
import { require as requireTs } from 'tsx/cjs/api'

const { bench } = requireTs('./cluster/bench.ts', import.meta.url)
const { planFrom } = requireTs('./cluster/plan.ts', import.meta.url)

try {
  process.exit((await bench(planFrom(process.argv.slice(2)))) ? 0 : 1)
} catch (error) {
  console.error(error.message)
  process.exit(error.exitCode ?? 2)
}
