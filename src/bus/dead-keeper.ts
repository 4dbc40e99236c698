/**
 * Who keeps the dead letters of a listener until they are put back? A session of its own at the
 * server, which no process is connected to. (B11, a poison event is not in the way for ever)
 */
import { type Client, type ClientOptions, createClient } from '../client/index.ts'
import { MqttError, type Platform, RefusedError } from '../index.ts'
import { deadKeeperId, deadTopics, type ListenerName } from './bus-names.ts'
import { settledWithin } from './settled-within.ts'

/** How long the session lasts after each connection to it: thirty days, in seconds. */
export const KEPT_SECONDS = 30 * 24 * 3600
export const KEEPER_CLOSE_MS = 5000
const AHEAD = 20
/** Only a DISCONNECT is left to be sent, and the session stays without it. */
const LEAVING_MS = 100

/** @returns a client on a session, and whether the server had that session. */
export function sessionClient(
  clientOptions: ClientOptions,
  clientId: string,
  { seconds, isClean }: { readonly seconds: number; readonly isClean: boolean },
): { readonly client: Client; readonly wasThere: Promise<boolean> } {
  const { session, will, responseTopic, ...rest } = clientOptions
  const hasExpiry = rest.protocolVersion === undefined || rest.protocolVersion === 5
  const client = createClient({
    ...{ ...rest, clientId, cleanStart: isClean },
    ...(hasExpiry ? { sessionExpiryInterval: seconds, receiveMaximum: AHEAD } : {}),
  })
  const transitions = client.transitions()
  const wasThere = (async () => {
    for await (const { to, sessionPresent } of transitions) {
      if (to === 'connected') return sessionPresent === true
    }
    return false
  })()
  return { client, wasThere }
}

/**
 * Makes the server keep the dead letters of a listener from now on.
 * @param otherMs how long another process that does the same may take.
 * @returns null if it does, as far as is known, or if the signal has ended this; otherwise why the
 *   server refuses it.
 * @throws what else ends the connection.
 */
export async function keepDeadLetters(
  clock: Platform,
  clientOptions: ClientOptions,
  name: ListenerName,
  otherMs: number,
  signal: AbortSignal,
): Promise<RefusedError | null> {
  if (signal.aborted) return null
  const terms = { seconds: KEPT_SECONDS, isClean: false }
  const { client } = sessionClient(clientOptions, deadKeeperId(name), terms)
  try {
    const letters = client.subscribe(`${deadTopics(name)}/#`, {
      ...{ qos: 1, acks: 'manual', onLeave: 'keep', signal },
    })
    await letters.granted
    return null
  } catch (error) {
    if (signal.aborted) return null
    if (!(error instanceof RefusedError)) throw error
    if (!isAnotherKeeping(error)) return error
    // Another process of the listener keeps them, and subscribes about now.
    const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve))
    await settledWithin(clock, stopped, otherMs)
    return null
  } finally {
    await client.close({ timeout: LEAVING_MS })
  }
}

function isAnotherKeeping(error: unknown): boolean {
  return error instanceof MqttError && error.code === 'SESSION_TAKEN_OVER'
}
