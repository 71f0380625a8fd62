import { join } from 'node:path'

/** Flags of a program under test with which a thread of ours counts as covered, where coverage is collected. */
export const coverTheThread: readonly string[] = process.env['NODE_V8_COVERAGE']
  ? ['--require', join(__dirname, 'preload-coverage.cjs')]
  : []
