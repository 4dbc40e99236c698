/**
 * What does one learn of the processes of a bus, and how is that asked? Types only.
 */
import type { ResponderStats } from '../client/index.ts'
import type { ListenerStats } from './listener-types.ts'
import type { TaskStats } from './task-types.ts'

/** The options of `bus.discover()`. */
export interface DiscoverOptions {
  /** Only processes that serve the API of this name, and of it this API only. Default: all. */
  readonly api?: string | undefined
  /** Only processes of this service. Default: all. */
  readonly service?: string | undefined
  /** Only the process of this name; it needs `service`. Default: all. */
  readonly process?: string | undefined
  /**
   * For how many ms answers are waited for, 1 to 86,400,000: nobody knows how many will come.
   * Default 1,000.
   */
  readonly timeoutMs?: number | undefined
  /** After how many processes it ends, 1 to 100,000. Default 10,000. */
  readonly max?: number | undefined
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined
}

/** An API that a process serves. */
export interface DiscoveredApi {
  /** Its name. */
  readonly name: string
  /** Its version. */
  readonly version: string
  /** The names of its rpcs. */
  readonly rpcs: readonly string[]
  /** The names of its events. */
  readonly events: readonly string[]
  /** What became of its calls at this process. */
  readonly stats: ResponderStats
}

/** A listener of a process. */
export interface DiscoveredListener {
  /** Its name. */
  readonly name: string
  /** What it listens to: the name of an API, `/`, and that of an event. */
  readonly events: readonly string[]
  /** Events that have come, and whose handler has not begun. */
  readonly waiting: number
  /** What became of its events at this process. */
  readonly stats: ListenerStats
}

/** A task of a process. */
export interface DiscoveredTask {
  /** Its name. */
  readonly name: string
  /** When it is due next by the clock of the process, in ms since 1970; null if not known. */
  readonly nextAt: number | null
  /** What became of its runs at this process. */
  readonly stats: TaskStats
}

/** A process of a service, as it says itself: all of it is a claim. */
export interface DiscoveredProcess {
  /** The name of its service. */
  readonly service: string
  /** Its name. */
  readonly process: string
  /** For how many ms it has run. */
  readonly uptimeMs: number
  /** The APIs that it serves; none if its run leaves out `rpcs`. */
  readonly apis: readonly DiscoveredApi[]
  /** Its listeners; if its run leaves out `events`, those alone that are iterated. */
  readonly listeners: readonly DiscoveredListener[]
  /** Its tasks; none if its run leaves out `tasks`, or it is of a version that does not say. */
  readonly tasks: readonly DiscoveredTask[]
}
