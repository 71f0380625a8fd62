export interface Variant {
  /** As the tables have it. */
  readonly name: string
  /** What server.cjs is to do. */
  readonly setup: string
  /** Package to be installed for it, with its exact version. */
  readonly peer?: string
  /** This library, by its preload, with these variables beside the defaults. */
  readonly register?: NodeJS.ProcessEnv
  /** It watches CPU or memory, or profiles: the peers of `ours`. */
  readonly watches?: boolean
}

export const NOTHING = 'nothing'
/** A twin of the first: its ratio shows what a run can resolve. */
export const NOTHING_AGAIN = 'nothing, again'
export const OURS = 'cpu-memory-monitor'

/** The capacity cannot be measured below a threshold of 90 % of the CPU, and what a dump costs is another benchmark's subject. */
const NO_DUMP = { CMM_CPU_THRESHOLD: '10000' }

export const VARIANTS: readonly Variant[] = [
  { name: NOTHING, setup: 'nothing' },
  { name: OURS, setup: 'preloaded', register: NO_DUMP, watches: true },
  {
    name: `${OURS}, no thread`,
    setup: 'preloaded',
    register: { ...NO_DUMP, CMM_WATCHDOG: 'false' },
    watches: true,
  },
  { name: 'as 1.x: pidusage, setInterval', setup: '1.x', watches: true },
  {
    name: '@fastify/under-pressure',
    setup: 'under-pressure',
    peer: '@fastify/under-pressure@9.2.0',
    watches: true,
  },
  { name: '@datadog/pprof, CPU and heap', setup: 'datadog', peer: '@datadog/pprof@5.20.0', watches: true },
  { name: '@pyroscope/nodejs', setup: 'pyroscope', peer: '@pyroscope/nodejs@0.6.4', watches: true },
  { name: NOTHING_AGAIN, setup: 'nothing' },
]
