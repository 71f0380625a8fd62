import { createRequire } from 'node:module'
import { messageOf } from '../base/globals'
import type { Report } from '../dispatch/events'
import type { FleetBudget, FleetPlan, OpenFleet } from '../dispatch/fleet'

/** Opens the budget of the fleet on this thread. Without it each process has its own budget alone. */
export function openFleet(plan: FleetPlan | undefined, report: Report): FleetBudget | undefined {
  if (!plan) return undefined
  try {
    const entry = createRequire(plan.file)(plan.file) as { readonly openFleet: OpenFleet }
    return entry.openFleet(plan.settings, report)
  } catch (error) {
    report.failure({ stage: 'fleet', message: messageOf(error), error })
    return undefined
  }
}
