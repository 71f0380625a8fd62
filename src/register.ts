// For `node --require`, `node --import` and NODE_OPTIONS, which bring it into every Node.js of a machine: workers, package managers, and
// versions that cannot read the rest of the package. So this file keeps to what the oldest of them understand, and loads the monitor
// last.

/** The oldest major version of Node.js that the package supports. */
const OLDEST = 20

/** The script of a package manager: its work is not the application's. With a version in yarn's own releases (`yarn-4.9.1.cjs`). */
const PACKAGE_MANAGER = /(^|[\\/])(npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)(-cli)?(-\d[^\\/]*)?(\.[cm]?js)?$/

if (isWanted()) start()

function isWanted(): boolean {
  const enabled = process.env['CMM_ENABLED']
  const isSwitchedOff = enabled === 'false' || enabled === '0'
  return !isSwitchedOff && !PACKAGE_MANAGER.test(process.argv[1] || '') && isMainThread()
}

function isMainThread(): boolean {
  try {
    return (require('worker_threads') as { isMainThread: boolean }).isMainThread
  } catch (error) {
    // A Node.js from before worker threads. A catch without a name is newer than the versions that get here.
    void error
    return true
  }
}

function start(): void {
  const major = Number(process.versions.node.split('.')[0])
  if (major < OLDEST) return report('needs Node.js ' + OLDEST + ' or later; this is ' + process.versions.node)
  try {
    const entry = require('./index') as { [key: symbol]: () => void }
    const preload = entry[Symbol.for('cpu-memory-monitor:preload')]
    if (preload) preload()
  } catch (error) {
    report('not started: ' + String(error).split('\n')[0])
  }
}

function report(line: string): void {
  const fs = require('fs') as { writeSync(fd: number, text: string): void }
  try {
    fs.writeSync(2, 'cpu-memory-monitor: ' + line + '\n')
  } catch (error) {
    // The reader of the line has gone.
    void error
  }
}

export {}
