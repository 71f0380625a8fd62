import type { Monitoring } from '../monitor/start/start'
import { type Logger, say, stderrLogger } from '../report/listeners'
import { findingsOf } from './findings'
import { lookAround } from './look'
import { asLine, inReadingOrder } from './text'

/**
 * Logs the findings of the doctor (self-check) for this process, one line each, problems first, when the monitor has started.
 * With `logger: false` they go to stderr, because the operator has requested them by the variable `CMM_DOCTOR`. Never throws,
 * and does not keep the process alive.
 */
export function reportAtStart(monitoring: Monitoring, logger: Logger | false | undefined): void {
  const to = logger || stderrLogger()
  const report = async (): Promise<void> => {
    const start = await monitoring.facts()
    const { cpu, memory } = start.settings
    const facts = await lookAround(start, [cpu.directory, memory.directory])
    for (const finding of inReadingOrder(findingsOf(facts)))
      say(to, finding.level === 'ok' ? 'info' : 'warn', asLine(finding))
  }
  report().catch((error: unknown) =>
    say(to, 'error', `doctor: its findings could not be collected: ${String(error)}`),
  )
}
