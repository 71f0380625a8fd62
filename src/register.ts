// For `node --require`, `node --import` and NODE_OPTIONS, which bring it into every Node.js of a machine: workers, package managers, and
// versions that cannot read the rest of the package. So this file keeps to what the oldest of them understand, and loads the monitor
// last.

/** The oldest major version of Node.js that the package supports. */
const OLDEST = 20

/** The script of a package manager: its work is not the application's. With a version in yarn's own releases (`yarn-4.9.1.cjs`). */
const PACKAGE_MANAGER = /(^|[\\/])(npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)(-cli)?(-\d[^\\/]*)?(\.[cm]?js)?$/

/** What is written after `--require` or `--import`, where the package is found by its name. */
const NAME = 'cpu-memory-monitor/register'
/** Such a word of NODE_OPTIONS, or a text in quotes, in which nothing is a word. */
const WORD = /(^| )(-r|--require|--import)( +|=)("?)cpu-memory-monitor\/register\4(?= |$)|"(?:[^"\\]|\\.)*"/g

nameThisFile()
if (isWanted()) start()

/**
 * A child inherits the name, and looks for it from its own working directory: there it finds nothing, and ends, or what another user has
 * put there. So the name becomes the path of this file, and nothing else changes.
 */
function nameThisFile(): void {
  try {
    const given = process.env['NODE_OPTIONS']
    if (given && given.indexOf(NAME) >= 0) process.env['NODE_OPTIONS'] = given.replace(WORD, withFile)
    // That of fork() and of a cluster.
    const args = process.execArgv
    for (let i = 0; i < args.length; i++) {
      const [, flag = args[i - 1] || ''] = /^(--require|--import)=/.exec(args[i] || '') || []
      const isFlag = flag === '-r' || flag === '--require' || flag === '--import'
      if (isFlag && args[i] === NAME) args[i] = fileFor(flag)
      else if (isFlag && args[i] === flag + '=' + NAME) args[i] = flag + '=' + fileFor(flag)
    }
  } catch (error) {
    // They stay as they are.
    void error
  }
}

function withFile(text: string, before: string, flag: string | undefined, gap: string): string {
  if (!flag) return text
  const file = fileFor(flag)
  return before + flag + gap + (/[ "]/.test(file) ? '"' + file.replace(/[\\"]/g, '\\$&') + '"' : file)
}

function fileFor(flag: string): string {
  if (flag !== '--import') return __filename
  const url = require('url') as { pathToFileURL(path: string): { href: string } }
  return url.pathToFileURL(__filename).href
}

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
