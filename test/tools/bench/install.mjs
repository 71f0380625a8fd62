// What a package brings into an application: packages, bytes, the time of `npm install`, whether it needs a compiler, and what
// requiring it adds to the start and to the memory of an empty program. This library from its packed tarball, and its peers.
//
//   npm run bench -- install [--installs 3] [--starts 11] [--json <file>]
//
// With the defaults 6 minutes. Each package is installed with an npm cache that it has filled before, so that the network does not count,
// and first with compilers that fail: what does not load after that needs one. `startup` has more about our own start.
import { parseArgs } from 'node:util'
import { require as requireTs } from 'tsx/cjs/api'

const { bench } = requireTs('./install/bench.ts', import.meta.url)
const { values } = parseArgs({
  options: {
    installs: { type: 'string', default: '3' },
    starts: { type: 'string', default: '11' },
    json: { type: 'string' },
  },
})
await bench({ installs: Number(values.installs), starts: Number(values.starts), json: values.json })
