import { type Profile, PROFILES } from './setting'
import { type Variant, VARIANTS } from './variants'

export interface Plan {
  readonly profiles: readonly string[]
  readonly seconds: number
  readonly rounds: number
  readonly variants: readonly Variant[]
}

export interface Turn {
  readonly profileName: string
  readonly profile: Profile
  readonly variant: Variant
}

/**
 * @param parameters - Profiles, seconds, rounds, parts of variants' names; lists with commas.
 * @throws RangeError for one that makes no sense.
 */
export function planFrom([profiles, seconds = '15', rounds = '1', parts]: readonly string[]): Plan {
  const plan = {
    profiles: profiles?.split(',') ?? Object.keys(PROFILES),
    seconds: Number(seconds),
    rounds: Number(rounds),
    variants: VARIANTS.filter(({ name }) => !parts || parts.split(',').some((part) => name.includes(part))),
  }
  plan.profiles.forEach(profileNamed)
  if (!(plan.seconds >= 1 && plan.seconds <= 600)) throw new RangeError(`seconds: 1 to 600, not ${seconds}`)
  if (!(Number.isInteger(plan.rounds) && plan.rounds > 0))
    throw new RangeError(`rounds: 1 or more, not ${rounds}`)
  if (plan.variants.length === 0) throw new RangeError(`variants: no name contains any of ${parts}`)
  return plan
}

/** Interleaved, so that what disturbs the machine for a while disturbs one run of each and not all of one. */
export function turnsOf({ profiles, rounds, variants }: Plan): Turn[] {
  const round = profiles.flatMap((profileName) =>
    variants.map((variant) => ({ profileName, profile: profileNamed(profileName), variant })),
  )
  return Array.from({ length: rounds }, () => round).flat()
}

function profileNamed(name: string): Profile {
  const profile = PROFILES[name]
  if (!profile) throw new RangeError(`profiles: ${Object.keys(PROFILES).join(', ')}, not ${name}`)
  return profile
}
