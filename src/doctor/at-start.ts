import type { Monitoring } from '../monitor/start'
import { type Logger, say, stderrLogger } from '../report/listeners'
import { findingsOf } from './findings'
import { lookAround } from './look'
import { asLine, inReadingOrder } from './text'

/**
 * Logs what would happen in this process, a line per finding, problems first, once the watch has started. A logger that was
 * switched off does not keep it back: the operator has asked for it by a variable. Never throws, and holds no process.
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
  report().catch((error: unknown) => say(to, 'error', `doctor: ${String(error)}`))
}
