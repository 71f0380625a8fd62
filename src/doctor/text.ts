import type { Finding } from './findings'

/** Sorts findings: problems first, then notes, then the rest. */
export function inReadingOrder(findings: readonly Finding[]): Finding[] {
  const order = ['problem', 'note', 'ok'] as const
  return order.flatMap((level) => findings.filter((finding) => finding.level === level))
}

/** Returns findings as text, one paragraph each. */
export function asText(findings: readonly Finding[]): string {
  return inReadingOrder(findings)
    .map(({ level, subject, text, advice }) => {
      const first = `${level.padEnd(8)}${subject}: ${text}\n`
      return advice === undefined ? first : `${first}        to do: ${advice}\n`
    })
    .join('')
}

/** Returns a finding as one log line. */
export function asLine({ level, subject, text, advice }: Finding): string {
  return `doctor: ${level}: ${subject}: ${text}${advice === undefined ? '' : `; to do: ${advice}`}`
}
