// What the monitor has to report of each program in guilty.js: its options, the part that is to be named, the words, and, where a
// profile or snapshot can name it, the function or class in the main file, the worker that the file is of, and the reader's answer.
const { execFileSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')

const cpu = { interval: 500, duration: 1000, threshold: 10, counter: 3, limiter: [1, 'hour'], blocked: false }
const memory = { interval: 250, limiter: [1, 'hour'], heapLimit: false }
/** Percent of the process's own figure by which the sum of the parts may differ, and points that are noise. */
const MOST_DIFFERENCE = 10
const NOISE_POINTS = 2

const isWorker =
  (name) =>
  ({ kind, name: own }) =>
    kind === 'worker' && own === name
const ofKind =
  (wanted) =>
  ({ kind }) =>
    kind === wanted

const shapes = {
  'hot worker': {
    options: { cpu },
    top: isWorker('resizer'),
    words: /worker \d+ 'resizer' used \d+ % of it, the main thread/,
    named: 'resize',
    worker: 'resizer',
  },
  'hot pool': {
    options: { cpu },
    top: ofKind('pool'),
    words: /the thread pool \(crypto, zlib, fs, dns\) used \d+ % of it/,
  },
  'hot main': {
    options: { cpu },
    top: ofKind('main'),
    words: /: the main thread used \d+ % of it(?!.*garbage)/,
    named: 'calculate',
  },
  collections: { options: { cpu }, words: /garbage collection took \d+ % of the time/ },
  'child process': {
    options: { cpu: { ...cpu, threshold: 10_000, blocked: 1500 } },
    words: /the process mostly waited/,
    named: 'execSync',
    answer: /^The main thread did not respond for .* which begins in execSync \(.*\), called by renderPdf \(/,
  },
  'leaking worker': {
    options: { memory: { ...memory, threshold: '220mb' } },
    part: 'worker',
    words: /: heap of worker \d+ 'cache'/,
    named: 'CachedPage',
    worker: 'cache',
  },
  'leaking buffers of a worker': {
    options: { memory: { ...memory, threshold: '220mb' } },
    part: 'worker',
    words: /: Buffers and ArrayBuffers of worker \d+ 'cache'.*; a heap snapshot shows what refers to Buffers/,
    named: 'CachedFile',
    worker: 'cache',
  },
  'leaking buffers': {
    options: { memory: { ...memory, threshold: '220mb' } },
    part: 'buffers',
    words: /: Buffers and ArrayBuffers \d/,
  },
  'native memory': {
    options: { memory: { ...memory, threshold: '220mb' } },
    part: 'native',
    words: /: native memory and code \d.*; no snapshot shows native memory/,
  },
  'leaking main': {
    options: { memory: { ...memory, threshold: '200mb' } },
    part: 'main',
    words: /: heap of the main thread/,
    named: 'StaleOrder',
  },
}

/**
 * @param dump - The payload of the event.
 * @param line - Its log line.
 * @param sidecar - The `.json` of its main file.
 * @returns What is wrong, in words.
 */
function judge(shape, dump, line, sidecar) {
  const { top, part, words, named, answer, worker = '' } = shapes[shape]
  const { makeup } = dump
  const wrong = []
  if (named && !readFileSync(dump.file, 'latin1').includes(`"${named}"`))
    wrong.push(`no ${named} in ${dump.file}`)
  if (answer && !answer.test(report(dump.file))) wrong.push(`the report says ${report(dump.file)}`)
  if (sidecar.thread.name !== worker) wrong.push(`the main file is of ${JSON.stringify(sidecar.thread)}`)
  if (!worker && dump.files.some((file) => file.includes('-worker-')))
    wrong.push(`a worker is blamed: ${dump.files}`)
  if (!makeup) return ['no makeup']
  if (!words.test(line)) wrong.push(`the line has other words: ${line}`)
  const [busiest] = makeup.threads.filter(({ kind }) => kind !== 'monitor')
  if (top && !top(busiest)) wrong.push(`the busiest thread is ${JSON.stringify(busiest)}`)
  const { memory: of } = makeup
  const parts = {
    worker: Math.max(
      0,
      ...of.workers
        .filter(({ name }) => name === 'cache')
        .map(({ heapTotal, external }) => heapTotal + external),
    ),
    main: of.heapTotal,
    buffers: of.arrayBuffers,
    native: of.rest,
  }
  const [largest] = Object.entries(parts).sort(([, one], [, other]) => other - one)
  if (part && largest[0] !== part) wrong.push(`most memory is in ${largest[0]}: ${JSON.stringify(of)}`)
  const used = makeup.threads.reduce((sum, { cpuPercent }) => sum + cpuPercent, 0)
  if (differ(used, makeup.cpuPercent)) wrong.push(`threads use ${used} %, the process ${makeup.cpuPercent} %`)
  const held = of.workers.reduce(
    (sum, { heapTotal, external }) => sum + heapTotal + external,
    of.heapTotal + of.external + of.rest,
  )
  if (differ(held, of.rss)) wrong.push(`the parts are ${held} bytes, the process ${of.rss}`)
  if (JSON.stringify(sidecar.makeup) !== JSON.stringify(makeup)) wrong.push('the .json has another makeup')
  const columns = Object.values(sidecar.flight ?? {}).filter(Array.isArray)
  if (columns.length !== 6 || columns.some(({ length }) => length < 2 || length !== columns[0].length))
    wrong.push(`no flight: ${JSON.stringify(sidecar.flight)}`)
  return wrong
}

function report(file) {
  const command = join(__dirname, '../../../../dist/reader/cli.js')
  return execFileSync(process.execPath, [command, 'report', file], { encoding: 'utf8', timeout: 60_000 })
}

function differ(sum, whole) {
  return Math.abs(sum - whole) > Math.max(NOISE_POINTS, (whole * MOST_DIFFERENCE) / 100)
}

module.exports = { judge, shapes }
