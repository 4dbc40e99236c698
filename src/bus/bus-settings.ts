/** Which listeners are set up from outside, and which features run? What code says comes first. */
import { UsageError } from '../index.ts'
import { inQuotes } from './bus-names.ts'
import type { BusFeature, BusFeatures, BusOptions } from './bus-types.ts'
import { checkFieldNames } from './define-api.ts'
import { type ListenerPlan, listenerPlan } from './listener-plan.ts'
import type { ListenerOptions, ListenerSettings } from './listener-types.ts'

const ALL_FEATURES: readonly BusFeature[] = ['rpcs', 'events', 'tasks']

/** What was set up when the bus was made. */
export class BusSettings {
  readonly #listeners = new Map<string, ListenerSettings>()
  readonly #features: BusFeatures

  /** @throws UsageError for a setting that cannot be used. */
  constructor({ listeners = {}, features = {} }: BusOptions) {
    if (typeof listeners !== 'object' || listeners === null) {
      throw new UsageError('createBus: listeners must be an object of settings by name')
    }
    for (const [name, settings] of Object.entries(listeners)) {
      listenerPlan(name, settings)
      this.#listeners.set(name, settings)
    }
    this.#features = features
    featuresOf('createBus: features', features, {})
  }

  /** @returns the plan of a listener. @throws UsageError for an option that cannot be used. */
  planOf(name: string, options: ListenerOptions<never> | undefined): ListenerPlan {
    const settings = this.#listeners.get(name)
    if (settings === undefined) return listenerPlan(name, options)
    // Checked before they are mixed, so that the message is about what the code says.
    listenerPlan(name, options)
    const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
    return listenerPlan(name, { ...settings, ...Object.fromEntries(given) })
  }

  /** @returns what a run does. @throws UsageError */
  featuresOf(given: BusFeatures): ReadonlySet<BusFeature> {
    return featuresOf('run', given, this.#features)
  }
}

function featuresOf(
  what: string,
  given: BusFeatures,
  preset: BusFeatures,
): ReadonlySet<BusFeature> {
  checkFieldNames(what, given, ['only', 'skip'])
  const isGiven = given.only !== undefined || given.skip !== undefined
  const { only = ALL_FEATURES, skip = [] } = isGiven ? given : preset
  for (const [field, list] of Object.entries({ only, skip })) {
    const wrong = Array.isArray(list) ? list.find((one) => !ALL_FEATURES.includes(one)) : list
    if (wrong === undefined) continue
    const allowed = `an array of ${ALL_FEATURES.join(', ')}`
    throw new UsageError(`${what}: ${field} must be ${allowed}, not ${inQuotes(wrong)}`)
  }
  return new Set(only.filter((one) => !skip.includes(one)))
}
