import { closeSync, openSync, readSync } from 'node:fs'
import { isOwnNow, standsForOne } from '../base/own-user'

/**
 * A function that reads a small file of the kernel, from `/proc` or the cgroup file system.
 *
 * @param onError - Called with an error code when the file exists but cannot be read.
 * @returns The text, or `undefined` when the file does not exist or cannot be read.
 */
export type ReadKernelFile = (path: string, onError?: (code: string) => void) => string | undefined

/**
 * Reads a kernel file of this machine, synchronously. The kernel makes these files in memory, so a read takes microseconds. An
 * asynchronous read would wait for libuv's thread pool, which the application may keep busy.
 */
export const readKernelFile: ReadKernelFile = (path, onError) => {
  try {
    return readWhole(path)
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') onError?.(code)
    return undefined
  }
}

/**
 * Buffer for all reads, large enough for the largest file so far. `readFileSync` would allocate memory at each reading. V8 would
 * move this garbage to the old generation of its heap, and may not collect it for an hour in a thread with little to do.
 */
let buffer = Buffer.allocUnsafeSlow(4096)

function readWhole(path: string): string {
  const fd = openSync(path, 'r')
  try {
    let length = 0
    for (;;) {
      if (length === buffer.length) buffer = Buffer.concat([buffer], 2 * length)
      const count = readSync(fd, buffer, length, buffer.length - length, null)
      if (count === 0) return buffer.toString('utf8', 0, length)
      length += count
    }
  } finally {
    closeSync(fd)
  }
}

/** Length of the clock tick in which `/proc/…/stat` counts, ms; the same on every Linux that Node.js runs on. */
export const TICK_MS = 10

/** State and CPU time of a process or of one thread, read from `/proc/…/stat`. */
export interface ThreadStat {
  /** State letter of proc_pid_stat(5), such as R running, S sleeping, D waiting for a disk, T stopped, Z zombie. */
  readonly state: string
  /** User and system CPU time used so far, in ticks of {@link TICK_MS}. */
  readonly cpuTicks: number
}

/**
 * Reads state and CPU time of a process or a thread.
 *
 * @param directory - `/proc/<pid>`, or `/proc/<pid>/task/<thread id>`.
 * @returns `undefined` when there is no such process, or no /proc.
 */
export function readThreadStat(directory: string): ThreadStat | undefined {
  const stat = readKernelFile(`${directory}/stat`)
  return stat === undefined ? undefined : parseThreadStat(stat)
}

/**
 * Reads when a process started, in ticks of {@link TICK_MS} since boot; `undefined` if there is no such process, or no /proc.
 *
 * @param directory - `/proc/<pid>` or `/proc/self`.
 */
export function readStartTicks(directory: string): number | undefined {
  const stat = readKernelFile(`${directory}/stat`)
  return stat === undefined ? undefined : parsePositive(fieldsOf(stat)[19] ?? '')
}

/** Parses `/proc/…/stat`. The program's name in brackets may contain brackets, so fields are counted from the last `)`. */
export function parseThreadStat(stat: string): ThreadStat {
  const fields = fieldsOf(stat)
  return { state: fields[0] ?? '', cpuTicks: Number(fields[11]) + Number(fields[12]) }
}

function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/**
 * Reads the CPU time of one thread of this process, ms.
 *
 * @param threadId - The kernel's id of the thread; for the main thread it is the process id.
 * @returns `undefined` when there is no such thread, or the kernel has no `schedstat`.
 */
export function readThreadCpuMs(threadId: number): number | undefined {
  return readSchedstat(threadId)?.ranMs
}

/**
 * Reads how long a thread of this process ran on a CPU, and how long it waited for one, ms. @returns `undefined` when there is no
 * such thread, or the kernel has no `schedstat`.
 */
export function readSchedstat(threadId: number): { ranMs: number; waitedMs: number } | undefined {
  const text = readKernelFile(`/proc/self/task/${threadId}/schedstat`)
  if (text === undefined) return undefined
  const [ran = 0, waited = NaN] = text.split(' ').map(Number)
  return { ranMs: ran / 1e6, waitedMs: waited / 1e6 }
}

/** State, CPU time and memory of a child process. */
export interface ChildUsage extends ThreadStat {
  /** Whether the main thread of the process waits for a lock (futex(2)). `false` also when that cannot be read. */
  readonly isLocked: boolean
  /** Anonymous memory in the page tables of the process, bytes. Includes pages that it shares with its parent. */
  readonly anonymousBytes: number
}

/** Reads state, CPU time and memory of a process: a forked child, or this one. @returns `undefined` when there is no such process, or no /proc. */
export function readChildUsage(pid: number): ChildUsage | undefined {
  const stat = readThreadStat(`/proc/${pid}`)
  const status = readKernelFile(`/proc/${pid}/status`)
  if (stat === undefined || status === undefined) return undefined
  return { ...stat, isLocked: isLocked(pid), anonymousBytes: statusBytes(status, 'RssAnon') ?? 0 }
}

/**
 * Starts to measure the peak of this process's private memory: pages that it shares with no other process. In a forked child
 * these are the memory that it needs in addition to its parent's. /proc shows no such peak, so it is estimated as the larger of
 * two figures: the private pages when the returned function is called (an allocator keeps most of what it freed), and the growth
 * of resident memory from now to its peak.
 *
 * @returns A function that returns the peak so far, bytes; `undefined` if /proc shows neither figure. The function reads
 * `/proc/self`, because `process.pid` in a forked child is still the parent's.
 */
export function measurePrivatePeak(): () => number | undefined {
  const status = (key: string): number | undefined =>
    statusBytes(readKernelFile('/proc/self/status') ?? '', key)
  const startBytes = status('VmRSS')
  return () => {
    const endBytes = statusBytes(readKernelFile('/proc/self/smaps_rollup') ?? '', 'Private_Dirty')
    const peakBytes = status('VmHWM')
    if (startBytes === undefined || peakBytes === undefined) return endBytes
    return Math.max(endBytes ?? 0, peakBytes - startBytes)
  }
}

/**
 * Reads the resident memory of any process, bytes.
 *
 * @returns `undefined` when the process has ended, or when there is no /proc.
 * @throws When the process may exist but cannot be read.
 */
export function readResidentBytes(pid: number): number | undefined {
  const path = `/proc/${pid}/status`
  const status = readKernelFile(path, (code) => {
    if (code !== 'ESRCH') throw new Error(`${path} cannot be read (${code})`)
  })
  return statusBytes(status ?? '', 'VmRSS')
}

/**
 * Reads the anonymous memory of a process of this user, bytes. Where the kernel does not show it (gVisor), the resident memory is
 * read instead. That is the worse figure: it also counts file pages, and counts a page once per mapping, so a process can make it
 * as large as it likes.
 *
 * @returns `undefined` for a process of another user, or one that has ended or cannot be read.
 */
export function readPrivateBytes(pid: number, read: ReadKernelFile = readKernelFile): number | undefined {
  const status = read(`/proc/${pid}/status`) ?? ''
  const [, real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(status) ?? []
  const uid = process.geteuid?.()
  if (uid === undefined || real !== `${uid}` || effective !== real) return undefined
  if (!standsForOne(uid) && !isOwnNow(`/proc/${pid}`)) return undefined
  return statusBytes(status, 'RssAnon') ?? statusBytes(status, 'VmRSS')
}

function statusBytes(status: string, key: string): number | undefined {
  const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** System call number of futex(2). */
const FUTEX = process.arch === 'arm64' ? '98' : '202'

/**
 * Whether the main thread of a process waits for a lock. `wchan` shows the kernel function in which the thread waits
 * (futex_wait_queue, futex_do_wait and others, by kernel version). Where it shows none, the number of the system call decides.
 */
function isLocked(pid: number): boolean {
  const waitsIn = readKernelFile(`/proc/${pid}/wchan`) ?? ''
  return waitsIn.startsWith('futex') || (readKernelFile(`/proc/${pid}/syscall`) ?? '').startsWith(`${FUTEX} `)
}

/**
 * Parses the text of a kernel file that holds one number.
 *
 * @returns The number, or `undefined` if it is not a positive whole number: for `max`, `-1`, 0, or an empty text.
 */
export function parsePositive(text: string): number | undefined {
  const trimmed = text.trim()
  if (!/^\d+$/.test(trimmed)) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** Parses the text of a kernel file that holds one whole number, 0 included. @returns `undefined` for any other text. */
export function parseAmount(text: string): number | undefined {
  return /^0+$/.test(text.trim()) ? 0 : parsePositive(text)
}

/** Finds the amount of one key in a text of `<key> <amount>` lines, such as `memory.stat`. */
export function parseKeyed(text: string, key: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${key} `))
  return line === undefined ? undefined : parseAmount(line.slice(key.length))
}

/** Finds the amount of one key in `/proc/meminfo`, whose lines are `<key>:   <amount> kB`. @returns Bytes. */
export function parseMeminfo(meminfo: string, key: string): number | undefined {
  const line = meminfo.split('\n').find((candidate) => candidate.startsWith(`${key}:`))
  const kibibytes =
    line === undefined ? undefined : parseAmount(line.slice(key.length + 1).replace(/ kB\s*$/, ''))
  return kibibytes === undefined ? undefined : finite(kibibytes * 1024)
}

/** Parses `cpu.max` of cgroup v2, `<quota> <period>` in µs. @returns Cores; `undefined` when there is no quota. */
export function parseCpuMax(text: string): number | undefined {
  const [quota, period, ...rest] = text.trim().split(/\s+/)
  if (quota === undefined || period === undefined || rest.length > 0) return undefined
  return parseQuota(quota, period)
}

/** Divides a CPU quota by its period, both in µs (cgroup v1 keeps them in two files). @returns Cores. */
export function parseQuota(quota: string, period: string): number | undefined {
  const quotaUs = parsePositive(quota)
  const periodUs = parsePositive(period)
  if (quotaUs === undefined || periodUs === undefined) return undefined
  const cores = finite(quotaUs / periodUs)
  return cores !== undefined && cores > 0 ? cores : undefined
}

/** Counts the CPUs in the line `Cpus_allowed_list` of `/proc/self/status`, a list such as `0-3,8`. */
export function parseAllowedCpus(status: string): number | undefined {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(status)?.[1]
  if (list === undefined) return undefined
  let count = 0
  for (const range of list.split(',')) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
    if (first === undefined || Number(last ?? first) < Number(first)) return undefined
    count += Number(last ?? first) - Number(first) + 1
  }
  return Number.isSafeInteger(count) ? count : undefined
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined
}
