import { createRequire } from 'node:module'
import { messageOf, Promise } from '../base/globals'
import type { Report } from '../dispatch/events'
import type { FleetBudget, FleetPlan, OpenFleet } from '../dispatch/fleet'

/** In place of a budget that cannot be opened and without which no dump may be made. */
const CLOSED: FleetBudget = {
  refusal: () => ({ insurance: 0 }),
  take: () => Promise.resolve({ refused: { insurance: 0 } }),
}

/** Opens the budget of the fleet on this thread. If it cannot be opened, each process has its own budget alone, or none. */
export function openFleet(plan: FleetPlan | undefined, report: Report): FleetBudget | undefined {
  if (!plan) return undefined
  try {
    const entry = createRequire(plan.file)(plan.file) as { readonly openFleet: OpenFleet }
    return entry.openFleet(plan.settings, report)
  } catch (error) {
    report.failure({ stage: 'fleet', message: messageOf(error), error })
    return plan.isRequired === true ? CLOSED : undefined
  }
}
