import { createRequire } from 'node:module'
import { messageOf, Promise } from '../base/globals'
import type { Report } from '../dispatch/events'
import type { FleetBudget, FleetPlan, OpenFleet } from '../dispatch/fleet'

/** A budget that allows no dump. It stands in for a required shared budget that cannot be opened. */
const CLOSED: FleetBudget = {
  refusal: () => ({ insurance: 0 }),
  take: () => Promise.resolve({ refused: { insurance: 0 } }),
}

/**
 * Opens the budget that processes share (option `fleet`). If that fails, the process uses its own budget alone, or makes
 * no dumps if the plan says that the shared budget is required.
 *
 * @param isCutOff - Whether the thread that used the budget before has died. If so, the budget decides without its server.
 */
export function openFleet(
  plan: FleetPlan | undefined,
  report: Report,
  isCutOff = false,
): FleetBudget | undefined {
  if (!plan) return undefined
  try {
    const entry = createRequire(plan.file)(plan.file) as { readonly openFleet: OpenFleet }
    return entry.openFleet(plan.settings, report, isCutOff)
  } catch (error) {
    report.failure({ stage: 'fleet', message: messageOf(error), error })
    return plan.isRequired === true ? CLOSED : undefined
  }
}
