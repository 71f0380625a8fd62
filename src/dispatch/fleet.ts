import type { DumpKind, Report } from './events'

/** The figures of a refusal: the budget, and when it is renewed. */
export type FleetRefusal = Readonly<Record<string, number>>

/** A token, or why there is none. */
export type FleetAnswer = { readonly refused: FleetRefusal } | { readonly giveBack: () => void }

/** One budget of dumps for many processes. It is asked after the own one. */
export interface FleetBudget {
  /** Why there would be no token now, as far as that is known without a question. */
  refusal(kind: DumpKind): FleetRefusal | undefined
  /** Asks for a token. Answers within a bounded time, never rejects. */
  take(kind: DumpKind): Promise<FleetAnswer>
}

/** A budget of the fleet as the option `fleet` takes it. Plain data: it travels to the thread that dumps. */
export interface FleetPlan {
  /** File of the entry that has made it, and that opens it. */
  readonly file: string
  readonly settings: unknown
  /** No dump is made where the budget cannot be opened, as with `insurance: 0`. */
  readonly isRequired?: boolean | undefined
  /** For the start line. */
  readonly inWords: string
}

/** Marks a plan that an entry of this package has made: its file is loaded, and JSON has no symbols. */
export const FLEET_PLAN = Symbol.for('cpu-memory-monitor:fleet')

/** What the entry exports for the thread that dumps. */
export type OpenFleet = (settings: unknown, report: Pick<Report, 'failure' | 'notice'>) => FleetBudget
