/**
 * How does a server forget a listener that nobody needs any more? Its session is ended. (B10, a
 * listener has what comes after it is granted)
 */
import { machineName, systemPlatform, UsageError } from '../index.ts'
import { busClientId, deadKeeperId, inQuotes } from './bus-names.ts'
import { busParts, uuid } from './bus-parts.ts'
import { KEEPER_CLOSE_MS, KEPT_SECONDS, sessionClient } from './dead-keeper.ts'
import { checkFieldNames } from './define-api.ts'
import { discoverProcesses } from './discover.ts'
import { type ListenerPlace, listenerPlaceOf, PLACE_FIELDS, type Place } from './listener-place.ts'

/** The options of `forgetListener()`. */
export interface ForgetOptions extends ListenerPlace {
  /** The process whose session ends. Default: the name of the machine, as of `createBus()`. */
  readonly process?: string | undefined
  /** Whether the dead letters that the server keeps are removed too. Default false. */
  readonly dead?: boolean | undefined
  /**
   * Whether the process is not asked before if it runs the listener. One that does never gets the
   * events that waited for it, and its run ends with `SESSION_TAKEN_OVER` (MQTT 5) or makes the
   * session again (MQTT 3.1.1, where the server does not say why it closes the connection). Default
   * false.
   */
  readonly force?: boolean | undefined
}

/** What `forgetListener()` resolves with. */
export interface Forgotten {
  /** Whether the server had a session of the listener in that process. */
  readonly session: boolean
  /** Whether the server had kept dead letters. False if they were not to be removed. */
  readonly dead: boolean
}

/**
 * Removes a listener of one process from the server: its session with its subscriptions, and all
 * events that wait in it. It asks the process first, and waits at most a second for an answer; a
 * process with `control: false` gives none.
 * @throws UsageError for an option that cannot be used, or `LISTENER_RUNS` if the process runs the
 *   listener; what `bus.discover()` and `client.ready()` reject with.
 */
export async function forgetListener(options: ForgetOptions): Promise<Forgotten> {
  const what = 'forgetListener'
  checkFieldNames(what, options, [...PLACE_FIELDS, 'process', 'dead', 'force'])
  const place = listenerPlaceOf(what, options)
  const { process = machineName(), dead = false, force = false, signal } = options
  if (typeof process !== 'string' || process === '') {
    throw new UsageError(`${what}: process must be the name that the process gives createBus()`)
  }
  const { prefix, service, listener } = place
  if (!force && (await isInUse(place, process, signal))) {
    const who = `the process ${inQuotes(process)} of ${service} runs the listener ${listener} now`
    const why = 'the events that wait for it would be lost'
    throw new UsageError(`${what}: ${who}, and ${why}; stop it first, or use force`, {
      code: 'LISTENER_RUNS',
    })
  }
  const end = (clientId: string) => endKeptSession(place, clientId, signal)
  return {
    session: await end(busClientId(prefix, service, process, listener)),
    dead: dead && (await end(deadKeeperId(place))),
  }
}

/** Asks a process whether it runs the listener. */
async function isInUse(
  { prefix, service, listener, clientOptions }: Place,
  process: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  // The connection that asks has no session, and nothing of those that are the user's.
  const { clientId, cleanStart, session, sessionExpiryInterval, will, ...client } = clientOptions
  const name = `forget-${uuid(client.platform ?? systemPlatform)}`
  const asker = busParts({ prefix, client, service: 'it-mqtt', process: name })
  try {
    for await (const one of discoverProcesses(asker, { service, process, max: 1, signal })) {
      if (one.listeners.some((heard) => heard.name === listener)) return true
    }
    return false
  } finally {
    await asker.client.close({ timeout: KEEPER_CLOSE_MS })
  }
}

/** Ends a session at the server. @returns whether there was one. */
async function endKeptSession(
  place: Place,
  clientId: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const look = sessionClient(place.clientOptions, clientId, {
    seconds: KEPT_SECONDS,
    isClean: false,
  })
  try {
    await look.client.ready({ signal })
    return await look.wasThere
  } finally {
    await look.client.close({ timeout: KEEPER_CLOSE_MS })
    const { client } = sessionClient(place.clientOptions, clientId, { seconds: 0, isClean: true })
    try {
      await client.ready({ signal })
    } finally {
      await client.close({ timeout: KEEPER_CLOSE_MS })
    }
  }
}
