import { pm2 } from './pm2'
import { program, type Start } from './start'

export interface Variant {
  readonly name: string
  /** Package to be installed for it, with its exact version. */
  readonly peer?: string
  readonly start: Start
  /** Its promises are checked. */
  readonly isOurs?: boolean
}

const PM2 = 'pm2@7.0.4'
const RECLUSTER = 'recluster@1.0.0'

/**
 * Who is compared. To add one: a file in `programs/` that runs `app.cjs` in CPU_COUNT workers, with `memory-check.cjs` if it
 * does not watch memory by itself, and a line here.
 */
export const VARIANTS: readonly Variant[] = [
  { name: 'cpu-memory-monitor', start: program('ours.cjs'), isOurs: true },
  { name: 'original as written', start: program('original.cjs') },
  { name: 'original with its typo fixed', start: program('original.cjs', { TYPO: 'fixed' }) },
  { name: 'cfork + check', start: program('cfork.cjs'), peer: 'cfork@2.0.0' },
  { name: 'throng + check', start: program('throng.cjs'), peer: 'throng@5.0.0' },
  { name: 'recluster + check', start: program('recluster.cjs'), peer: RECLUSTER },
  // By default it ends a worker after 1 s, in production after an hour: here after as long as the others grant.
  {
    name: 'recluster with 5 s + check',
    start: program('recluster.cjs', { RECLUSTER_TIMEOUT_S: '5' }),
    peer: RECLUSTER,
  },
  { name: 'PM2', start: pm2(), peer: PM2 },
  { name: 'PM2 with close on SIGINT', start: pm2({ CLOSE_ON_SIGINT: '1' }), peer: PM2 },
  // By default it sends SIGKILL after 1.6 s.
  {
    name: 'PM2 with close in 5 s',
    start: pm2({ CLOSE_ON_SIGINT: '1', PM2_KILL_TIMEOUT: '5000' }),
    peer: PM2,
  },
]
