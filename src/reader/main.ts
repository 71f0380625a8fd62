#!/usr/bin/env node
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type * as doctor from '../doctor/index'
import { within } from '../files/directory'
import { naming } from './answer'
import { evidenceIn, unfinishedFiles, unfinishedHints } from './folder'
import { isSameFile, openInput, readProfile } from './input'
import { reasonOf, UnreadableError } from './json'
import { jsonOfList, listIncidents, writeList } from './list'
import type { Report } from './model'
import type { DoctorOptions, ReportOptions } from './options'
import { readOptions, USAGE, UsageError } from './options'
import { writeMarkdown } from './output/markdown'
import { writeText } from './output/text'
import type { PageAssets } from './page/page'
import { writePage } from './page/page'
import { readStacks, toPprof, toSpeedscope } from './profile/export'
import { createReport } from './report'
import { redactFile } from './snapshot/redact'
import type { Analysis } from './snapshot/run-child'
import { createLocator } from './source-maps'
import { formatBytes, printable, printableJson } from './units'

const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }
const STDOUT = 1

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A consumer of the output that closes the pipe early, such as `head`, is no error.
  if (error.code === 'EPIPE') process.exit()
  process.stderr.write(`${unwritten('the standard output', error).message}\n`)
  process.exit(1)
})

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
})

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, Date.now())
  switch (options.command) {
    case 'help':
      print(USAGE)
      return
    case 'ls': {
      const listed = listIncidents(options)
      const pieces = options.isJson
        ? jsonOfList(listed, unfinishedFiles(options.directory))
        : writeList(listed, unfinishedHints(options.directory))
      for (const piece of pieces) print(piece)
      return
    }
    case 'doctor':
      await writeExamination(options)
      return
    case 'redact': {
      const { file, sizeBytes } = await redactFile(options.path, options.out)
      print(`${printable(file)}  ${formatBytes(sizeBytes)}\n`)
      return
    }
    case 'report':
      await writeReport(options)
  }
}

/**
 * Runs the `doctor` command. Its code is a separate bundle, because it finds the watchdog thread and the addon by its own path.
 */
async function writeExamination({ isJson }: DoctorOptions): Promise<void> {
  const { asText, examine } = require('../doctor/index') as typeof doctor
  listenToSignals()
  const examination = await examine(process.env)
  print(isJson ? `${printableJson(examination)}\n` : asText(examination.findings.map(printableFinding)))
}

type Finding = Parameters<typeof doctor.asText>[0][number]

/** Escapes control characters in the texts of a finding, because names of directories in them can contain such characters. */
function printableFinding({ subject, text, advice, ...finding }: Finding): Finding {
  return {
    ...finding,
    subject: printable(subject),
    text: printable(text),
    ...(advice !== undefined && { advice: printable(advice) }),
  }
}

async function writeReport(options: ReportOptions): Promise<void> {
  const { paths, format, out, sourceMaps } = options
  expectNoEvidence(options)
  exportProfile(options)
  const progress = createProgress()
  try {
    const report = await createReport({
      paths,
      ...(sourceMaps !== undefined && { sourceMaps }),
      onProgress: progress.show,
      runAnalysis,
    })
    progress.clear()
    if (out !== undefined) writeWhole(out, writePage(report, readAssets()))
    print(formatted(report, format))
  } finally {
    progress.clear()
  }
}

/** @throws UnreadableError if an output file is one of the files that the report reads, and would be overwritten. */
function expectNoEvidence({ paths, out, speedscope, pprof }: ReportOptions): void {
  for (const target of [out, speedscope, pprof]) {
    if (target === undefined) continue
    const evidence = paths.flatMap((path) => naming(path, () => evidenceIn(path)))
    if (evidence.some((file) => isSameFile(file, target)))
      throw new UnreadableError(
        `${target} is a file of the dump itself and is not overwritten: name another file`,
      )
  }
}

/**
 * Runs the analysis of snapshots in a child process. If a signal such as SIGINT (Ctrl-C) ends this process, ends the child too.
 */
async function runAnalysis(start: () => Analysis): Analysis['result'] {
  let analysis: Analysis | undefined
  const stopListening = listenToSignals(() => analysis?.cancel())
  try {
    analysis = start()
    return await analysis.result
  } finally {
    stopListening()
  }
}

/**
 * Makes SIGHUP, SIGINT and SIGTERM call `before` and then process.exit(), which runs the exit handlers. Returns a function that
 * removes the listeners. Use it only while this process waits. While the process computes, the event loop stands still, and a
 * listener would keep Ctrl-C from ending the process.
 */
function listenToSignals(before: () => void = () => undefined): () => void {
  const listeners = Object.entries(EXIT_CODES).map(([signal, code]) => {
    const exit = (): void => {
      before()
      process.exit(code)
    }
    process.once(signal, exit)
    return () => void process.removeListener(signal, exit)
  })
  return () => listeners.forEach((remove) => remove())
}

/**
 * Writes the profile in the format of speedscope, of pprof, or both, as the options ask; does nothing if they ask for neither.
 */
function exportProfile({ paths: [path = ''], sourceMaps, speedscope, pprof }: ReportOptions): void {
  if (speedscope === undefined && pprof === undefined) return
  const stacks = naming(path, () => {
    const input = statSync(path).isFile() ? openInput(path) : undefined
    if (input?.kind !== 'profile')
      throw new UnreadableError('is no profile: --speedscope and --pprof convert a CPU or heap profile')
    return readStacks(readProfile(input), basename(path), createLocator(sourceMaps))
  })
  if (speedscope !== undefined) writeWhole(speedscope, toSpeedscope(stacks))
  if (pprof !== undefined) writeWhole(pprof, toPprof(stacks))
}

function formatted(report: Report, format: ReportOptions['format']): string {
  switch (format) {
    case 'text':
      return writeText(report)
    case 'md':
      return writeMarkdown(report)
    case 'json':
      return `${printableJson(report)}\n`
  }
}

function readAssets(): PageAssets {
  const read = (name: string): string => readFileSync(join(__dirname, name), 'utf8')
  return { script: read('page.js'), style: read('page.css') }
}

/** Writes a file whole or not at all. Only its owner may read it, because it shows the content of the profile or snapshot. */
function writeWhole(file: string, content: string | Buffer): void {
  const path = resolve(file)
  try {
    within(dirname(path), (place) => writeIn(place, basename(path), content))
  } catch (error) {
    throw unwritten(file, error)
  }
}

/**
 * @param place - Path to the directory through its open file descriptor, such as `/proc/self/fd/7`; its plain path if there is
 * no /proc.
 */
function writeIn(place: string, name: string, content: string | Buffer): void {
  const partial = join(place, `${name}.${process.pid}.partial`)
  const fd = openSync(partial, 'wx', 0o600)
  // Removes only a file that was created above. If the name is taken already, openSync fails because of `wx`, and the file stays.
  try {
    writeFileSync(fd, content)
    renameSync(partial, join(place, name))
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Prints the result. If stdout is a file, writes to it directly: process.stdout does not notice that a full disk cut a write. */
function print(text: string): void {
  if (!fstatSync(STDOUT).isFile()) {
    process.stdout.write(text)
    return
  }
  try {
    writeFileSync(STDOUT, text)
  } catch (error) {
    throw unwritten('the standard output', error)
  }
}

function unwritten(what: string, error: unknown): UnreadableError {
  return new UnreadableError(`${what} cannot be written: ${reasonOf(error)}`)
}

/** Shows progress in one line on stderr, in which each text replaces the one before. Shows nothing if stderr is no terminal. */
function createProgress(): { show: (text: string) => void; clear: () => void } {
  const { stderr } = process
  if (!stderr.isTTY) return { show: () => undefined, clear: () => undefined }
  return {
    show: (text) =>
      void stderr.write(`\r\u001b[K${printable(text).slice(0, Math.max(20, stderr.columns - 1))}`),
    clear: () => void stderr.write('\r\u001b[K'),
  }
}

function messageOf(error: unknown): string {
  if (error instanceof UsageError) return `${printable(error.message)}\nTry: cpu-memory-monitor --help`
  if (error instanceof UnreadableError) return printable(error.message)
  const stack = error instanceof Error ? String(error.stack) : String(error)
  return stack.split('\n').map(printable).join('\n')
}
