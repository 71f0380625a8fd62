import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { compileFunction } from 'node:vm'

import type { Status } from 'pidusage'

/** What `/proc/<pid>/stat` says about a process, as pidusage reads it. */
export interface ProcfileUsage {
  /** CPU time of the whole process since it started, ms. Grows in steps of one clock tick, 10 ms. */
  readonly cpuMs: number
  /** Resident memory in pages: how many bytes a page has is for the caller to know. */
  readonly residentPages: number
}

/** Reads all the given processes at once. A process that is gone is absent from the answer. */
export type ReadProcfiles = (pids: readonly number[]) => Map<number, ProcfileUsage>

type Outcome = { readonly error: Error | null; readonly stats?: Record<string, Status | null | undefined> }

interface Pidusage {
  (
    pids: number[],
    options: { readonly usePs: boolean; readonly maxage: number },
    callback: (error: Error | null, stats?: Record<string, Status | null>) => void,
  ): void
  clear(): void
}

/** Ticks per second in `/proc`: a constant of the kernel's interface on every architecture that Node supports. */
const CLOCK_TICKS_PER_SECOND = 100

/** Nothing may expire while a reading runs; between readings there is nothing left to expire. */
const MAX_AGE_MS = 24 * 60 * 60 * 1000

/** Makes pidusage report memory in pages. */
const ONE_BYTE_PAGES = 1

/**
 * Loads an instance of pidusage that is ours alone, and gives the function that reads with it.
 *
 * The instance that `require` gives is shared with the application, and what it keeps cannot be given back in part: one
 * history per pid spoils everybody's readings, `clear()` wipes the application's history too, and leaves open the
 * descriptors that it held. So the package's own files are run here once more, with three things put in their place:
 *
 * - its `fs` reads at once instead of through the thread pool. The pool is one for all threads of the process: an
 *   application that hashes or compresses at full speed would keep a reading waiting exactly when it matters. A
 *   reading of `/proc` touches no disk and takes microseconds. It also lets us know every descriptor that was opened.
 * - its `helpers/cpu`, which starts two shells to ask for constants of the kernel and prints a stack when there are none.
 * - everything else that it may ask for is refused: it can start no program.
 *
 * Nothing is left between two readings: no history, no timer, no descriptor.
 *
 * @param entry - The package's main file.
 * @throws When the package cannot be found or wants something that it is not given.
 */
export function loadOwnPidusage(entry: string = require.resolve('pidusage')): ReadProcfiles {
  const descriptors = countedFileSystem()
  const pidusage = runPackage(entry, {
    builtins: { fs: descriptors.fs, os, path },
    replaced: { [path.join(path.dirname(entry), 'lib', 'helpers', 'cpu.js')]: kernelConstants },
  }) as Pidusage

  return (pids) => {
    if (pids.length === 0) return new Map()
    try {
      const { error, stats } = askOnce(pidusage, pids)
      if (error !== null && !isGone(error)) throw error
      const trouble = descriptors.trouble()
      if (trouble !== undefined) throw trouble
      return usageByPid(stats ?? {})
    } finally {
      pidusage.clear()
      descriptors.closeAll()
    }
  }
}

function askOnce(pidusage: Pidusage, pids: readonly number[]): Outcome {
  let outcome: Outcome | undefined
  // Both options are named: what is not named, pidusage takes from PIDUSAGE_USE_PS and PIDUSAGE_MAXAGE.
  pidusage([...pids], { usePs: false, maxage: MAX_AGE_MS }, (error, stats) => {
    outcome = stats === undefined ? { error } : { error, stats }
  })
  if (outcome === undefined) throw new Error('pidusage did not answer at once')
  return outcome
}

function usageByPid(stats: NonNullable<Outcome['stats']>): Map<number, ProcfileUsage> {
  const usage = new Map<number, ProcfileUsage>()
  for (const status of Object.values(stats)) {
    if (status === null || status === undefined) continue
    if (!Number.isFinite(status.ctime) || !Number.isFinite(status.memory)) {
      throw new Error(`/proc/${status.pid}/stat cannot be understood`)
    }
    usage.set(status.pid, { cpuMs: status.ctime, residentPages: status.memory })
  }
  return usage
}

/** Stands in for pidusage's `helpers/cpu`. Its uptime only serves percentages that nobody here reads. */
function kernelConstants(_known: unknown, done: (error: null, constants: object) => void): void {
  done(null, { clockTick: CLOCK_TICKS_PER_SECOND, pageSize: ONE_BYTE_PAGES, uptime: os.uptime() })
}

/** A process that ended: before its file was opened (ENOENT), or between that and the reading (ESRCH). */
function isGone(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOENT' || error.code === 'ESRCH'
}

/**
 * An `fs` whose `open`, `read` and `close` call back before they return. It knows what is open, because pidusage forgets a
 * descriptor whose first reading fails, and what went wrong, because pidusage reports every error in a list of pids as a
 * process that is gone.
 */
function countedFileSystem() {
  const open = new Set<number>()
  let trouble: Error | undefined

  function callBack<T>(act: () => T, done: (error: Error | null, result?: T) => void): void {
    let result: T
    try {
      result = act()
    } catch (error) {
      if (!isGone(error as Error)) trouble ??= error as Error
      done(error as Error)
      return
    }
    done(null, result)
  }

  return {
    fs: {
      ...fs,
      open: (file: string, flags: string, done: (error: Error | null, descriptor?: number) => void) =>
        callBack(() => {
          const descriptor = fs.openSync(file, flags)
          open.add(descriptor)
          return descriptor
        }, done),
      read: (
        descriptor: number,
        buffer: Buffer,
        offset: number,
        length: number,
        position: number,
        done: (error: Error | null, bytesRead?: number, buffer?: Buffer) => void,
      ) =>
        callBack(
          () => fs.readSync(descriptor, buffer, offset, length, position),
          (error, bytesRead) => (error === null ? done(null, bytesRead, buffer) : done(error)),
        ),
      close: (descriptor: number, done: (error: Error | null) => void) =>
        callBack(() => {
          if (open.delete(descriptor)) fs.closeSync(descriptor)
        }, done),
    },
    trouble: () => trouble,
    closeAll() {
      trouble = undefined
      for (const descriptor of open) fs.closeSync(descriptor)
      open.clear()
    },
  }
}

interface Given {
  readonly builtins: Readonly<Record<string, unknown>>
  /** Exports by file, for files of the package that are not run. */
  readonly replaced: Readonly<Record<string, unknown>>
}

/** Runs a CommonJS package file by file, with nothing but what it is given, and returns its exports. */
function runPackage(entry: string, given: Given): unknown {
  const loaded = new Map<string, { exports: unknown }>()

  function load(file: string): unknown {
    if (file in given.replaced) return given.replaced[file]
    const known = loaded.get(file)
    if (known !== undefined) return known.exports

    const module = { exports: {} as unknown }
    loaded.set(file, module)
    const parameters = ['require', 'module', 'exports']
    const run = compileFunction(fs.readFileSync(file, 'utf8'), parameters, { filename: file }) as (
      ...values: unknown[]
    ) => void
    run((request: string) => demand(file, request), module, module.exports)
    return module.exports
  }

  function demand(file: string, request: string): unknown {
    if (request.startsWith('.')) return load(path.resolve(path.dirname(file), withExtension(request)))
    const name = request.replace(/^node:/, '')
    if (Object.hasOwn(given.builtins, name)) return given.builtins[name]
    throw new Error(`${path.basename(path.dirname(entry))} wants '${request}', which it is not given here`)
  }

  return load(entry)
}

function withExtension(request: string): string {
  return request.endsWith('.js') ? request : `${request}.js`
}
