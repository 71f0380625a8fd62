import { closeSync, openSync, readSync } from 'node:fs'

/**
 * Reads a small file of the kernel, from `/proc` or the cgroup file system.
 *
 * @param onError - Called with an error code when the file exists but cannot be read.
 * @returns The text, or `undefined` when it cannot be read: monitoring goes on without it.
 */
export type ReadKernelFile = (path: string, onError?: (code: string) => void) => string | undefined

/**
 * Reads from this machine. Synchronous: the kernel keeps these files in memory and a reading costs microseconds, while
 * an asynchronous one waits for libuv's thread pool, which the application may keep busy.
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
 * As large as the largest file so far. Used again and again: what `readFileSync` leaves of each reading, one per thread and second, V8
 * keeps in the old generation, and a calm thread has no full collection for an hour.
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

/** Length of the kernel's clock tick, ms; the same on each Linux that Node.js runs on. */
export const TICK_MS = 10

/** State and CPU time of a process, or of one thread, from its file `stat`. */
export interface ThreadStat {
  /** R runs, S sleeps, D waits for a disk, T is stopped, Z has ended. */
  readonly state: string
  /** User and system time used so far, kernel ticks. */
  readonly cpuTicks: number
}

/**
 * @param directory - `/proc/<pid>`, or `/proc/<pid>/task/<thread id>`.
 * @returns `undefined` when there is no such process, or no /proc.
 */
export function readThreadStat(directory: string): ThreadStat | undefined {
  const stat = readKernelFile(`${directory}/stat`)
  return stat === undefined ? undefined : parseThreadStat(stat)
}

/** When a process began, kernel ticks after the start of the machine; `undefined` when there is none, or no /proc. */
export function readStartTicks(directory: string): number | undefined {
  const stat = readKernelFile(`${directory}/stat`)
  return stat === undefined ? undefined : parsePositive(fieldsOf(stat)[19] ?? '')
}

/** Parses a file `stat`. The name in brackets may hold brackets too; fields after the last one have a fixed order. */
export function parseThreadStat(stat: string): ThreadStat {
  const fields = fieldsOf(stat)
  return { state: fields[0] ?? '', cpuTicks: Number(fields[11]) + Number(fields[12]) }
}

function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/**
 * CPU time of one thread of this process, ms.
 *
 * @param threadId - The kernel's id of the thread; for the main thread it is the process id.
 * @returns `undefined` when there is no such thread, or the kernel does not keep this time.
 */
export function readThreadCpuMs(threadId: number): number | undefined {
  return readSchedstat(threadId)?.ranMs
}

/** Time that a thread of this process had a CPU, and waited for one, ms; `undefined` where it is not counted. */
export function readSchedstat(threadId: number): { ranMs: number; waitedMs: number } | undefined {
  const text = readKernelFile(`/proc/self/task/${threadId}/schedstat`)
  if (text === undefined) return undefined
  const [ran = 0, waited = NaN] = text.split(' ').map(Number)
  return { ranMs: ran / 1e6, waitedMs: waited / 1e6 }
}

/** State, CPU time and memory of a child process. */
export interface ChildUsage extends ThreadStat {
  /** Whether the main thread of the process waits on a lock (futex(2)). Also false where that cannot be read. */
  readonly isLocked: boolean
  /** Anonymous memory in the page tables of the process, bytes. Includes pages that it shares with its parent. */
  readonly anonymousBytes: number
}

/** @returns `undefined` when there is no such process, or no /proc. */
export function readChildUsage(pid: number): ChildUsage | undefined {
  const stat = readThreadStat(`/proc/${pid}`)
  const status = readKernelFile(`/proc/${pid}/status`)
  if (stat === undefined || status === undefined) return undefined
  return { ...stat, isLocked: isLocked(pid), anonymousBytes: statusBytes(status, 'RssAnon') ?? 0 }
}

/**
 * Begins to measure the private memory of this process: pages that it shares with no other process, which are what a
 * forked child costs beyond its parent. /proc has no peak of them, so the larger of two figures is taken: the private
 * pages at the end (an allocator keeps most of what it freed), and the growth of the resident set from now to its peak.
 *
 * @returns A function that reads the peak so far, bytes; `undefined` where /proc shows neither figure. It reads
 * `/proc/self`, because in a forked child `process.pid` is still that of the parent.
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
 * Reads the resident set size of any process, bytes.
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
 * Reads the anonymous memory of a process of this user, bytes: a process makes its resident set as large as it likes by mapping one file
 * many times. Where the kernel does not tell them apart (gVisor), the resident set.
 *
 * @returns `undefined` for a process of another user, or one that has ended or cannot be read.
 */
export function readPrivateBytes(pid: number, read: ReadKernelFile = readKernelFile): number | undefined {
  const status = read(`/proc/${pid}/status`) ?? ''
  const [, real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(status) ?? []
  const uid = String(process.geteuid?.())
  if (real !== uid || effective !== uid) return undefined
  return statusBytes(status, 'RssAnon') ?? statusBytes(status, 'VmRSS')
}

function statusBytes(status: string, key: string): number | undefined {
  const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** System call number of futex(2). */
const FUTEX = process.arch === 'arm64' ? '98' : '202'

/**
 * Whether the main thread of a process waits on a lock: judged by the kernel function in which it waits
 * (futex_wait_queue, futex_do_wait and others, by kernel version). Some kernels show 0 instead; there the system call
 * decides.
 */
function isLocked(pid: number): boolean {
  const waitsIn = readKernelFile(`/proc/${pid}/wchan`) ?? ''
  return waitsIn.startsWith('futex') || (readKernelFile(`/proc/${pid}/syscall`) ?? '').startsWith(`${FUTEX} `)
}

/**
 * Parses the text of a file that holds one number.
 *
 * @returns `undefined` for anything but a positive whole number: `max`, `-1`, an empty or incomplete text.
 */
export function parsePositive(text: string): number | undefined {
  const trimmed = text.trim()
  if (!/^\d+$/.test(trimmed)) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** Parses the text of a file that holds one amount, which may be 0. */
export function parseAmount(text: string): number | undefined {
  return /^0+$/.test(text.trim()) ? 0 : parsePositive(text)
}

/** Parses one amount from a file of `<key> <amount>` lines such as `memory.stat`. */
export function parseKeyed(text: string, key: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${key} `))
  return line === undefined ? undefined : parseAmount(line.slice(key.length))
}

/** Parses one amount, in bytes, from `/proc/meminfo`, whose lines have the form `<key>:   <amount> kB`. */
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

/** Counts the CPUs in a list such as `0-3,8`, the form of `Cpus_allowed_list` in `/proc/self/status`. */
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
