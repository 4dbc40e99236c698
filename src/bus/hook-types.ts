/**
 * What surrounds a call, a handler or an event? Types only. A hook is a layer of an onion: it does
 * something, lets the inner layers do their work with `next()`, and does something with the result.
 */
import type { UserProperties } from '../index.ts'

/** What all contexts of hooks have. */
interface HookedApi {
  /** The name of the API. */
  readonly api: string
  /** The version of the API that this process has. */
  readonly version: string
  /** The name of the rpc or of the event. */
  readonly name: string
}

/** A call that this process makes. */
export interface CallContext extends HookedApi {
  /** What happens. */
  readonly kind: 'call'
  /** What is given to the rpc, before it is validated. It may be replaced. */
  input: unknown
  /** The User Properties that are sent. They may be replaced. */
  headers: UserProperties
}

/** A call that this process answers. */
export interface ExecuteContext extends HookedApi {
  /** What happens. */
  readonly kind: 'execute'
  /** What the caller gave, before it is validated. It may be replaced. */
  input: unknown
  /** The User Properties that came. */
  readonly headers: UserProperties
  /** Who calls, as it claims, or null. */
  readonly by: string | null
  /** The name of the operation. */
  readonly key: string
}

/** An event that this process announces. */
export interface FireContext extends HookedApi {
  /** What happens. */
  readonly kind: 'fire'
  /** The payload, before it is validated. It may be replaced. */
  value: unknown
  /** The User Properties that are sent. They may be replaced. */
  headers: UserProperties
  /** The name of the event. */
  readonly id: string
}

/** An event that a handler of this process gets. */
export interface HandleContext extends HookedApi {
  /** What happens. */
  readonly kind: 'handle'
  /** The payload, before it is validated. It may be replaced. */
  value: unknown
  /** The User Properties that came. */
  readonly headers: UserProperties
  /** The name of the event. */
  readonly id: string
  /** The name of the listener. */
  readonly listener: string
  /** Which attempt it is in this process, from 1. */
  readonly attempt: number
}

/** A run of a task of this process. */
export interface TaskContext {
  /** What happens. */
  readonly kind: 'task'
  /** The name of the task. */
  readonly name: string
  /** When it was due, in ms since 1970. */
  readonly dueAt: number
  /** How many times have passed since the run before, for which there was no run. */
  readonly missed: number
}

/** The begin of the first `run()`, or the end of the bus. */
export interface LifeContext {
  /** What happens. */
  readonly kind: 'start' | 'stop'
  /** The name of the service. */
  readonly service: string
  /** The name of the process. */
  readonly process: string
}

/**
 * One layer. What it returns is the result, and what it throws the error, of what it surrounds.
 * @param next does the rest and returns its result. It may be called once, or not at all.
 */
export type Hook<Context> = (context: Context, next: () => Promise<unknown>) => unknown

/** Hooks of a bus, by what they surround. */
export interface BusHooks {
  /** The name of the only API that they are for. Default: all. */
  readonly api?: string | undefined
  /** Surrounds what the first `run()` does before it takes anything. Not with `api`. */
  readonly start?: Hook<LifeContext> | undefined
  /** Surrounds `close()`, if the bus has run. Not with `api`. */
  readonly stop?: Hook<LifeContext> | undefined
  /** Surrounds calls, with validation of what is given and of the answer. */
  readonly call?: Hook<CallContext> | undefined
  /** Surrounds handlers of calls, with validation. */
  readonly execute?: Hook<ExecuteContext> | undefined
  /** Surrounds the firing of events, with validation. */
  readonly fire?: Hook<FireContext> | undefined
  /** Surrounds handlers of events, with validation: each attempt. Not what is iterated. */
  readonly handle?: Hook<HandleContext> | undefined
  /** Surrounds the runs of tasks. Not with `api`. */
  readonly task?: Hook<TaskContext> | undefined
}
