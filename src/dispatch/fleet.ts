import type { DumpKind, Report } from './events'

/**
 * Named numbers that explain why the shared budget refused a dump, such as `tokensPerInterval`, `intervalMs` (length of the
 * interval, ms) and `renewsInMs` (time until the budget is full again, ms).
 */
export type FleetRefusal = Readonly<Record<string, number>>

/** Answer to a request for a token: `giveBack` returns the token that was taken; `refused` holds the figures of a refusal. */
export type FleetAnswer = { readonly refused: FleetRefusal } | { readonly giveBack: () => void }

/** A budget of dumps that many processes share (option `fleet`), for example in Redis. */
export interface FleetBudget {
  /** Returns the refusal if this process already knows that no token is left; otherwise only `take` can tell. */
  refusal(kind: DumpKind): FleetRefusal | undefined
  /** Requests a token. Resolves within a bounded time, never rejects. */
  take(kind: DumpKind): Promise<FleetAnswer>
}

/** Value of the option `fleet`: how to open the shared budget. Plain data, because it is sent to the thread that dumps. */
export interface FleetPlan {
  /** Absolute path of the package's module that made this plan. Its `openFleet` opens the budget. */
  readonly file: string
  readonly settings: unknown
  /**
   * Whether no dumps are made if the shared budget cannot be opened. If not, the process's own budgets alone apply then. The Redis
   * hook sets it for `insurance: 0` (no dumps while Redis does not answer).
   */
  readonly isRequired?: boolean | undefined
  /** The budget as a phrase for the start line of the log. */
  readonly inWords: string
}

/**
 * Marks plans that were made by this package. The file named in a plan is loaded as code, so a plan from JSON, which
 * cannot hold a symbol, is refused.
 */
export const FLEET_PLAN = Symbol.for('cpu-memory-monitor:fleet')

/**
 * Opens the shared budget, on the thread that decides about dumps. Exported by the module that {@link FleetPlan.file} names.
 *
 * @param isCutOff - Whether the thread that used the budget before has died. Perhaps an answer of the server has ended it, and
 * would end the main thread and the process next, so the budget then decides without the server.
 */
export type OpenFleet = (
  settings: unknown,
  report: Pick<Report, 'failure' | 'notice'>,
  isCutOff?: boolean,
) => FleetBudget
