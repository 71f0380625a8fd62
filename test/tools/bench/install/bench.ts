import { deliver, progress, type Report, reported, settingInWords } from '../output/report'
import { nameOf } from '../peers'
import { EMPTY, type Installation, type Row, tableOf } from './figures'
import { contentOf, Place } from './measure'

const OURS = 'cpu-memory-monitor'
const REGISTER = `${OURS}/register`

/** dd-trace 5 is the last for Node 20. */
const PEERS = [
  '@fastify/under-pressure@9.2.0',
  '@datadog/pprof@5.20.0',
  '@pyroscope/nodejs@0.6.4',
  'dd-trace@5.132.0',
  'node-oom-heapdump@3.8.1',
  'v8-profiler-next@1.10.0',
  'heapdump@0.3.15',
]

export interface Plan {
  readonly installs: number
  readonly starts: number
  readonly json?: string
}

export async function bench({ installs, starts, json }: Plan): Promise<void> {
  const report = await reported({ installs, starts }, () => Promise.resolve(measureAll(installs, starts)))
  deliver(report, textOf(report), json)
}

/** As it is printed, and as docs/benchmarks.md has it. */
export function textOf({ setting, parameters, rows }: Report<readonly Row[]>): string {
  const { installs, starts } = parameters
  return [
    settingInWords(setting),
    `median of ${installs} installations with a filled cache (least-most), and of ${starts} starts`,
    '',
    tableOf(rows),
  ].join('\n')
}

function measureAll(installs: number, starts: number): Row[] {
  const place = new Place()
  try {
    const specs = { [OURS]: place.pack(), ...Object.fromEntries(PEERS.map((peer) => [peer, peer])) }
    const installed = Object.entries(specs).map(([name, spec]) => {
      const result = installationOf(place, name, spec)
      progress(`${name}: ${'reason' in result ? result.reason : 'installed'}`)
      return { name, spec, ms: [] as number[], ...result }
    })
    for (let round = 0; round < installs; round++) {
      for (const { name, spec, ms, ...result } of installed) {
        if ('reason' in result) continue
        const again = place.install(spec)
        if ('ms' in again) ms.push(again.ms)
        progress(
          `installation ${round + 1} of ${installs}: ${name}: ${'ms' in again ? Math.round(again.ms) : again.reason} ms`,
        )
      }
    }
    return withStarts(place, installed, starts)
  } finally {
    place.remove()
  }
}

type Outcome = (Omit<Installation, 'ms'> & { directory: string }) | { reason: string }

/** Without compilers first, which also fills the cache. What then does not load needs them. */
function installationOf(place: Place, name: string, spec: string): Outcome {
  const request = name === OURS ? name : nameOf(name)
  const loads = (directory: string) => 'ms' in place.start(place.preload(directory, request))
  const without = place.install(spec, { compilers: false })
  if ('directory' in without && loads(without.directory))
    return { directory: without.directory, needsCompiler: false, ...contentOf(without.directory) }
  const compiled = place.install(spec)
  if ('reason' in compiled) return compiled
  if (!loads(compiled.directory)) return { reason: `does not load on Node ${process.version}` }
  return { directory: compiled.directory, needsCompiler: true, ...contentOf(compiled.directory) }
}

type Installed = Outcome & { name: string; ms: number[] }

/** One start of each kind in turn. */
function withStarts(place: Place, installed: readonly Installed[], starts: number): Row[] {
  const anywhere = installed.flatMap((each) => ('directory' in each ? [each.directory] : []))[0]
  if (anywhere === undefined) throw new Error('nothing could be installed')
  const kinds = [
    { name: EMPTY, preload: place.preload(anywhere, '') },
    ...installed.flatMap((each) => {
      if (!('directory' in each)) return []
      const requests = each.name === OURS ? [OURS, REGISTER] : [nameOf(each.name)]
      return requests.map((request) => ({
        name: each.name === OURS ? request : each.name,
        preload: place.preload(each.directory, request),
      }))
    }),
  ].map((kind) => ({ ...kind, ms: [] as number[], rssMb: [] as number[] }))
  for (let round = 0; round < starts; round++) {
    for (const { preload, ms, rssMb } of kinds) {
      const start = place.start(preload)
      if ('reason' in start) continue
      ms.push(start.ms)
      rssMb.push(start.rssMb)
    }
    progress(`start ${round + 1} of ${starts}`)
  }
  const names = [EMPTY, ...installed.flatMap(({ name }) => (name === OURS ? [OURS, REGISTER] : [name]))]
  return names.map((name) => {
    const own = installed.find((each) => each.name === name)
    if (own && 'reason' in own) return { name, reason: own.reason }
    const { ms = [], rssMb = [] } = kinds.find((kind) => kind.name === name) ?? {}
    return { name, installation: own && installationIn(own), start: { ms, rssMb } }
  })
}

function installationIn(own: Installed): Installation | undefined {
  if ('reason' in own) return undefined
  const { packages, bytes, ms, needsCompiler, downloads } = own
  return { packages, bytes, ms, needsCompiler, downloads }
}
