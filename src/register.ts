// Entry `cpu-memory-monitor/register`: starts the monitor in a process by `node --require`, `node --import` or NODE_OPTIONS.
// NODE_OPTIONS also loads this file in worker threads, in package managers, and in versions of Node.js that are too old for the
// rest of the package. So this file uses only what the oldest of these versions understand, and loads the monitor last.

/** The oldest major version of Node.js that the package supports. */
const OLDEST = 20

/** Matches the script of a package manager, which is not watched. Its name may contain a version (`yarn-4.9.1.cjs`). */
const PACKAGE_MANAGER = /(^|[\\/])(npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)(-cli)?(-\d[^\\/]*)?(\.[cm]?js)?$/

/** Name of this file after `--require` or `--import`, if the user names the package and not a path. Node resolves the name. */
const NAME = 'cpu-memory-monitor/register'

nameThisFile()
if (isWanted()) start()

/**
 * Replaces the name of this file by its absolute path in the options that child processes inherit. A child would resolve the name
 * from its own working directory: it would find nothing and end, or find a file that another user has put there. Other options
 * stay as they are.
 */
function nameThisFile(): void {
  try {
    const given = process.env['NODE_OPTIONS'] || ''
    const named = withFileIn(given)
    if (named !== given) process.env['NODE_OPTIONS'] = named
    // child_process.fork() and cluster pass process.execArgv on to child processes.
    const args = process.execArgv
    for (let i = 0; i < args.length; i++) args[i] = withFile(args[i] || '', args[i - 1] || '')
  } catch (error) {
    // Options that are not replaced yet stay as they are.
    void error
  }
}

interface Word {
  value: string
  readonly begin: number
  end: number
}

function withFileIn(options: string): string {
  const words = wordsOf(options)
  let text = options
  for (let i = words.length - 1; i >= 0; i--) {
    const { value, begin, end } = words[i] as Word
    const named = withFile(value, i > 0 ? (words[i - 1] as Word).value : '')
    if (named !== value) text = text.slice(0, begin) + quoted(named) + text.slice(end)
  }
  return text
}

/**
 * Splits NODE_OPTIONS as Node does (ParseNodeOptionsEnvVar in src/node_options.cc): at spaces outside of double quotes, which may
 * begin and end anywhere. Within quotes, the character after a backslash is taken as it is.
 */
function wordsOf(options: string): Word[] {
  const words: Word[] = []
  let word: Word | undefined
  let isQuoted = false
  for (let i = 0; i < options.length; i++) {
    if (options[i] === ' ' && !isQuoted) {
      word = undefined
      continue
    }
    if (!word) words.push((word = { value: '', begin: i, end: i }))
    if (options[i] === '"') isQuoted = !isQuoted
    else word.value += isQuoted && options[i] === '\\' ? options[++i] || '' : options[i]
    word.end = i + 1
  }
  return words.filter((each) => each.value !== '')
}

function quoted(word: string): string {
  return /[ "]/.test(word) ? '"' + word.replace(/[\\"]/g, '\\$&') + '"' : word
}

/**
 * Returns one word of the options. If it names this file for `-r`, `--require` or `--import`, the file's path replaces the name.
 *
 * @param before - The word before it, which can be such an option.
 */
function withFile(option: string, before: string): string {
  const match = /^(--require|--import)=/.exec(option)
  const flag = match ? match[1] || '' : before
  if (flag !== '-r' && flag !== '--require' && flag !== '--import') return option
  if (option === NAME) return fileFor(flag)
  return option === flag + '=' + NAME ? flag + '=' + fileFor(flag) : option
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
    // In a worker thread, Node has loaded `worker_threads` before this code runs. If it is not loaded, this is the main thread,
    // and the 2 ms that the load takes are saved.
    const loaded = (process as { moduleLoadList?: string[] }).moduleLoadList
    if (loaded && loaded.indexOf('NativeModule worker_threads') < 0) return true
    return (require('worker_threads') as { isMainThread: boolean }).isMainThread
  } catch (error) {
    // This Node.js is older than worker threads. It also does not know `catch` without a name, hence `void error`.
    void error
    return true
  }
}

function start(): void {
  const major = Number(process.versions.node.split('.')[0])
  if (major < OLDEST)
    return report('not started: needs Node.js ' + OLDEST + ' or later; this is ' + process.versions.node)
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
    // stderr cannot be written, for example because its reader has gone. The line is lost.
    void error
  }
}

export {}
