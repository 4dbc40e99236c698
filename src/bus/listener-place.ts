/** Which listener of which bus do functions mean that work beside a bus, and at which server? */
import type { ClientOptions } from '../client/index.ts'
import { checkBusName, checkBusPrefix } from './bus-names.ts'
import { clientOptionsOf } from './bus-parts.ts'
import type { BusOptions } from './bus-types.ts'

export const PLACE_FIELDS = ['client', 'service', 'listener', 'prefix', 'signal']

/** Whose dead letters, or whose session, is meant. */
export interface ListenerPlace {
  /** The server: a URL, or the options of `createClient()`. */
  readonly client: BusOptions['client']
  /** The name of the service. */
  readonly service: string
  /** The name of the listener. */
  readonly listener: string
  /** The levels before all topics. Default `bus`. */
  readonly prefix?: string | undefined
  /** Ends the call; it rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined
}

/** A checked `ListenerPlace`. */
export interface Place {
  readonly prefix: string
  readonly service: string
  readonly listener: string
  readonly clientOptions: ClientOptions
}

/** @throws UsageError for an option that cannot be used. */
export function listenerPlaceOf(
  what: string,
  { client, service, listener, prefix = 'bus' }: ListenerPlace,
): Place {
  return {
    prefix: checkBusPrefix(prefix),
    service: checkBusName(`${what}: service`, service),
    listener: checkBusName(`${what}: listener`, listener),
    clientOptions: clientOptionsOf(client),
  }
}
