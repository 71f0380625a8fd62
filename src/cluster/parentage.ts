const NAME = 'CPU_MEMORY_MONITOR_PRIMARY'

/** By what a worker knows its primary as one that keeps it. */
export function primaryEnvironment(): Record<string, string> {
  return { [NAME]: String(process.pid) }
}

/** Whether this worker was forked by `run`, and not by somebody else's primary, as under PM2 in cluster mode. */
export function isKept(): boolean {
  return process.env[NAME] === String(process.ppid)
}
