#!/usr/bin/env node
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type * as doctor from '../doctor/index'
import { naming } from './answer'
import { unfinishedFiles, unfinishedHints } from './folder'
import { openInput, readProfile } from './input'
import { UnreadableError } from './json'
import { listIncidents, writeList } from './list'
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

let running: Analysis | undefined

// A reader of the output that closes it early, such as head, is no error.
process.stdout.on('error', () => process.exit())

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
})

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, Date.now())
  switch (options.command) {
    case 'help':
      process.stdout.write(USAGE)
      return
    case 'ls': {
      const listed = listIncidents(options)
      process.stdout.write(
        options.isJson
          ? `${printableJson({ incidents: listed, unfinished: unfinishedFiles(options.directory) })}\n`
          : writeList(listed, unfinishedHints(options.directory)),
      )
      return
    }
    case 'doctor':
      await writeExamination(options)
      return
    case 'redact': {
      const { file, sizeBytes } = await redactFile(options.path, options.out)
      process.stdout.write(`${printable(file)}  ${formatBytes(sizeBytes)}\n`)
      return
    }
    case 'report':
      await writeReport(options)
  }
}

/** A bundle of its own: it has the code of the monitor, which finds its thread and its helper from where it lies. */
async function writeExamination({ isJson }: DoctorOptions): Promise<void> {
  const { asText, examine } = require('../doctor/index') as typeof doctor
  const examination = await examine(process.env)
  process.stdout.write(isJson ? `${printableJson(examination)}\n` : asText(examination.findings))
}

async function writeReport(options: ReportOptions): Promise<void> {
  const { paths, format, out, sourceMaps } = options
  exportProfile(options)
  const progress = createProgress()
  try {
    const report = await createReport({
      paths,
      ...(sourceMaps !== undefined && { sourceMaps }),
      onProgress: progress.show,
      beforeAnalysis: listenToSignals,
      onAnalysis: (analysis) => (running = analysis),
    })
    progress.clear()
    if (out !== undefined) writeWhole(out, writePage(report, readAssets()))
    process.stdout.write(formatted(report, format))
  } finally {
    progress.clear()
  }
}

/** Not before there is a process to end: while a profile is read nothing turns, so a listener would keep Ctrl-C from ending that. */
function listenToSignals(): void {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      running?.cancel()
      process.exit(EXIT_CODES[signal])
    })
  }
}

/** Writes the profile for other tools. */
function exportProfile({ paths: [path = ''], sourceMaps, speedscope, pprof }: ReportOptions): void {
  if (speedscope === undefined && pprof === undefined) return
  const stacks = naming(path, () => {
    const input = statSync(path).isFile() ? openInput(path) : undefined
    if (input?.kind !== 'profile')
      throw new UnreadableError('is no profile: --speedscope and --pprof take one')
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

/** Writes a file whole or not at all. Only its owner may read it, because it shows the content of the artefact. */
function writeWhole(file: string, content: string | Buffer): void {
  const partial = `${file}.${process.pid}.partial`
  try {
    writeFileSync(partial, content, { mode: 0o600, flag: 'wx' })
    renameSync(partial, file)
  } catch (error) {
    rmSync(partial, { force: true })
    throw new UnreadableError(
      `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

/** One line on a terminal's stderr that is overwritten; elsewhere nothing. */
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
  return error instanceof Error ? String(error.stack) : String(error)
}
