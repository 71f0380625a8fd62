/** What one variant did under one profile. */
export interface Figures {
  readonly sent: number
  readonly failed: number
  /** How requests failed, in the strict client's words, with how often. */
  readonly why: Readonly<Record<string, number>>
  /** Workers forked under load. */
  readonly replaced: number
  readonly leastAccepting: number
  readonly msBelow: number
  readonly mostLive: number
}

/** Nothing was measured, and why. */
export interface Absent {
  readonly reason: string
}

export type Outcome = Figures | Absent

/** All rounds of a variant under one profile as one. */
export function combine(one: Outcome, other: Outcome): Outcome {
  if ('reason' in one) return one
  if ('reason' in other) return other
  return {
    sent: one.sent + other.sent,
    failed: one.failed + other.failed,
    why: sum(one.why, other.why),
    replaced: one.replaced + other.replaced,
    leastAccepting: Math.min(one.leastAccepting, other.leastAccepting),
    msBelow: one.msBelow + other.msBelow,
    mostLive: Math.max(one.mostLive, other.mostLive),
  }
}

const KINDS: readonly (readonly [RegExp, string])[] = [
  [/NO_ANSWER/, 'unanswered'],
  [/ECONNREFUSED/, 'refused'],
  [/^(body|incomplete)/, 'cut'],
  [/ECONNRESET|EPIPE|ECONNABORTED/, 'reset'],
]

/** In brief, the most frequent first: `140 refused, 29 reset`. */
export function kindsOf(why: Readonly<Record<string, number>>): string {
  const kinds = new Map<string, number>()
  for (const [words, times] of Object.entries(why)) {
    const kind = KINDS.find(([pattern]) => pattern.test(words))?.[1] ?? words
    kinds.set(kind, (kinds.get(kind) ?? 0) + times)
  }
  return [...kinds]
    .sort(([, one], [, other]) => other - one)
    .map(([kind, times]) => `${times} ${kind}`)
    .join(', ')
}

/** What this library promises and did not keep; empty when it did. */
export function brokenPromises(ours: Outcome): string[] {
  if ('reason' in ours) return [`it was not measured: ${ours.reason}`]
  const { failed, msBelow } = ours
  return [
    ...(failed > 0 ? [`${failed} requests failed (${kindsOf(ours.why)})`] : []),
    ...(msBelow > 0 ? [`${Math.ceil(msBelow)} ms below capacity`] : []),
  ]
}

function sum(
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
): Record<string, number> {
  const total = { ...one }
  for (const [name, times] of Object.entries(other)) total[name] = (total[name] ?? 0) + times
  return total
}
