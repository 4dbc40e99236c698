/**
 * How does a server forget a listener that nobody needs any more? Its session is ended. (B10, a
 * listener has what comes after it is granted)
 */
import { machineName, RefusedError, systemPlatform, UsageError } from '../index.ts'
import { busClientId, deadKeeperId, inQuotes, isProcessName } from './bus-names.ts'
import { busParts, uuid } from './bus-parts.ts'
import { controlTopic, readControlAnswer } from './control-wire.ts'
import { KEEPER_CLOSE_MS, KEPT_SECONDS, sessionClient } from './dead-keeper.ts'
import { checkFieldNames } from './define-api.ts'
import { isNobody, isOfStranger } from './discover.ts'
import { type ListenerPlace, listenerPlaceOf, PLACE_FIELDS, type Place } from './listener-place.ts'

const IN_USE = 'LISTENER_RUNS'
const ASK_MS = 1000

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
 * events that wait in it. It asks the process first, and waits a second for answers, which needs
 * the right to use the topics of `discover()`. A process does not answer that has `control: false`,
 * does not run its bus, as one that only iterates, or may not subscribe to these topics.
 * @throws UsageError for an option that cannot be used; RefusedError `LISTENER_RUNS` if the process
 *   runs the listener, or answers what cannot be read, and with the code of the server if that
 *   refuses the question; what `client.ready()` rejects with.
 */
export async function forgetListener(options: ForgetOptions): Promise<Forgotten> {
  const what = 'forgetListener'
  checkFieldNames(what, options, [...PLACE_FIELDS, 'process', 'dead', 'force'])
  const place = listenerPlaceOf(what, options)
  const { process = machineName(), dead = false, force = false, signal } = options
  if (!isProcessName(process)) {
    throw new UsageError(`${what}: process must be the name that the process gives createBus()`)
  }
  for (const [name, value] of Object.entries({ dead, force })) {
    if (typeof value !== 'boolean') throw new UsageError(`${what}: ${name} must be true or false`)
  }
  const { prefix, service, listener } = place
  if (!force) await checkUnused(place, process, signal)
  const end = (clientId: string) => endKeptSession(place, clientId, signal)
  return {
    session: await end(busClientId(prefix, service, process, listener)),
    dead: dead && (await end(deadKeeperId(place))),
  }
}

/**
 * Asks a process whether it runs the listener. Any answer counts that says so: one that says the
 * opposite may come from somebody else.
 * @throws RefusedError if it does, or if that is not known though somebody has answered.
 */
async function checkUnused(
  { prefix, service, listener, clientOptions }: Place,
  process: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  // The connection that asks has no session, and nothing of those that are the user's.
  const { clientId, cleanStart, session, sessionExpiryInterval, will, ...rest } = clientOptions
  const name = `forget-${uuid(rest.platform ?? systemPlatform)}`
  const { client } = busParts({ prefix, client: rest, service: 'it-mqtt', process: name })
  const who = `forgetListener: the process ${inQuotes(process)} of ${service}`
  const topic = controlTopic(prefix, 'STATS', service, process)
  try {
    // As long as a connection takes: the time-out is that of the answers.
    await client.ready({ signal })
    for await (const { payload } of client.requestMany(topic, '', { timeout: ASK_MS, signal })) {
      const read = readControlAnswer(payload)
      if (typeof read === 'string') throw misunderstood(who, read)
      if (!read.listeners.some((heard) => heard.name === listener)) continue
      const lost = 'the events that wait for it would be lost'
      throw isInUse(`${who} runs the listener ${listener} now, and ${lost}`)
    }
  } catch (error) {
    if (isNobody(error)) return
    if (isOfStranger(error)) throw misunderstood(who, error.message)
    const isOfServer = error instanceof RefusedError && error.code !== IN_USE
    if (!isOfServer || client.state.connection.kind !== 'connected') throw error
    const message =
      `${who} cannot be asked whether it runs the listener ${listener}; permit ${topic} and` +
      ` answers at the server, or use force (${error.message})`
    const { code, reasonCode, packet } = error
    throw new RefusedError(message, { code, reasonCode, packet, cause: error })
  } finally {
    await client.close({ timeout: KEEPER_CLOSE_MS })
  }
}

function misunderstood(who: string, why: string): RefusedError {
  return isInUse(`${who} may run the listener: somebody answers, and not as a bus does (${why})`)
}

function isInUse(what: string): RefusedError {
  const message = `${what}; stop the process first, or use force`
  return new RefusedError(message, { code: IN_USE, reasonCode: 0, packet: undefined })
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
