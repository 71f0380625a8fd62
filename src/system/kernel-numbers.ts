/**
 * Reads a file that holds one number.
 *
 * @returns `undefined` for anything but a positive whole number: `max`, `-1`, an empty or a torn file.
 */
export function parsePositive(text: string): number | undefined {
  const trimmed = text.trim()
  if (!/^\d+$/.test(trimmed)) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** Reads a file that holds one amount, which may be 0. */
export function parseAmount(text: string): number | undefined {
  return /^0+$/.test(text.trim()) ? 0 : parsePositive(text)
}

/** Reads one amount of a file of `<key> <amount>` lines such as `memory.stat`. */
export function parseKeyed(text: string, key: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${key} `))
  return line === undefined ? undefined : parseAmount(line.slice(key.length))
}

/** Reads one amount of `/proc/meminfo`, whose lines read `<key>:   <amount> kB`. In bytes. */
export function parseMeminfo(meminfo: string, key: string): number | undefined {
  const line = meminfo.split('\n').find((candidate) => candidate.startsWith(`${key}:`))
  const kibibytes =
    line === undefined ? undefined : parseAmount(line.slice(key.length + 1).replace(/ kB\s*$/, ''))
  return kibibytes === undefined ? undefined : finite(kibibytes * 1024)
}

/** Reads cgroup v2's `cpu.max`: `<quota> <period>`, in us. In cores; `undefined` when there is no quota. */
export function parseCpuMax(text: string): number | undefined {
  const [quota, period, ...rest] = text.trim().split(/\s+/)
  if (quota === undefined || period === undefined || rest.length > 0) return undefined
  return parseQuota(quota, period)
}

/** Divides a quota by its period, in us each, as cgroup v1 keeps them in two files. In cores. */
export function parseQuota(quota: string, period: string): number | undefined {
  const quotaUs = parsePositive(quota)
  const periodUs = parsePositive(period)
  if (quotaUs === undefined || periodUs === undefined) return undefined
  const cores = finite(quotaUs / periodUs)
  return cores !== undefined && cores > 0 ? cores : undefined
}

/** Counts the CPUs of a list such as `0-3,8`, as `Cpus_allowed_list` in `/proc/self/status` has it. */
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
