/** What does a process do on its bus, for its log? */
import { insidesOf } from './bus-insides.ts'
import type { Bus } from './bus-types.ts'
import { controlAnswer } from './control-wire.ts'
import type { DiscoveredApi, DiscoveredListener, DiscoveredTask } from './discover-types.ts'

/** What a process does, as `describeBus()` says it. */
export interface BusDescription {
  /** The APIs that it serves; none if its run leaves out `rpcs`. */
  readonly apis: readonly Omit<DiscoveredApi, 'stats'>[]
  /** Its listeners; if its run leaves out `events`, those alone that are iterated. */
  readonly listeners: readonly Omit<DiscoveredListener, 'stats' | 'waiting'>[]
  /** Its tasks; none if its run leaves out `tasks`. */
  readonly tasks: readonly Omit<DiscoveredTask, 'stats' | 'nextAt'>[]
  /** The names of the APIs that it has asked `bus.api()` for, so that it may call them. */
  readonly called: readonly string[]
}

/**
 * What this process serves, listens to, runs and calls now, without asking the server. What other
 * processes do, `bus.discover()` finds out.
 * @throws UsageError if it is no bus.
 */
export function describeBus(bus: Bus): BusDescription {
  const insides = insidesOf('describeBus', bus)
  const names = [...insides.called()].map(({ name }) => name)
  const { apis, listeners, tasks } = controlAnswer(insides, 'INFO', 0) as BusDescription
  return { apis, listeners, tasks, called: [...new Set(names)] }
}
