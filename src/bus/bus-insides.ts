/**
 * What do functions beside a bus see of it, such as `prometheus()`? Users have the `Bus` only, so
 * the rest is kept here, by the object that they have.
 */
import { UsageError } from '../index.ts'
import type { Api } from './api-types.ts'
import type { BusParts } from './bus-parts.ts'
import type { ListenerStats } from './listener-types.ts'
import type { EventSource } from './received-event.ts'
import type { BusTask } from './task-types.ts'

/** A listener of a bus, as metrics see it. */
export interface ListenerInsides {
  readonly name: string
  readonly sources: readonly EventSource[]
  readonly stats: ListenerStats
  /** Events that have come, and whose handler has not begun. */
  readonly waiting: number
  /** When the oldest event was fired that is not handled, in ms since 1970; null without one. */
  readonly oldestFiredAt: number | null
}

export interface BusInsides {
  readonly parts: BusParts
  /** The APIs that this process calls, or whose events it listens to. */
  called(): Iterable<Api>
  listeners(): Iterable<ListenerInsides>
  /** Those of them that handle events, as long as `run()` is not told to leave them out. */
  listening(): readonly ListenerInsides[]
  /** The tasks, as long as `run()` is not told to leave them out. */
  tasks(): readonly BusTask[]
  /** Whether calls are answered, as long as `run()` is not told to leave them out. */
  answersCalls(): boolean
}

const kept = new WeakMap<object, BusInsides>()

export function keepInsides(bus: object, insides: BusInsides): void {
  kept.set(bus, insides)
}

/** @throws UsageError if it is no bus. */
export function insidesOf(what: string, bus: unknown): BusInsides {
  const insides = kept.get(Object(bus))
  if (insides !== undefined) return insides
  throw new UsageError(`${what}: the first argument must be what createBus() returned`)
}
