/** What does a process do on its bus, for its log? */
import { insidesOf } from './bus-insides.ts'
import type { Bus } from './bus-types.ts'
import { controlAnswer } from './control-wire.ts'
import type { DiscoveredApi, DiscoveredListener } from './discover-types.ts'

/** What a process does, as `describeBus()` says it. */
export interface BusDescription {
  /** The APIs that it serves; none if its run leaves out `rpcs`. */
  readonly apis: readonly Omit<DiscoveredApi, 'stats'>[]
  /** Its listeners; if its run leaves out `events`, those alone that are iterated. */
  readonly listeners: readonly Omit<DiscoveredListener, 'stats' | 'waiting'>[]
}

/**
 * What this process serves and listens to now, without asking the server. What other processes do,
 * `bus.discover()` finds out.
 * @throws UsageError if it is no bus.
 */
export function describeBus(bus: Bus): BusDescription {
  const { apis, listeners } = controlAnswer(
    insidesOf('describeBus', bus),
    'INFO',
    0,
  ) as BusDescription
  return { apis, listeners }
}
