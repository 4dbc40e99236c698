/**
 * Who keeps the dead letters of a listener until they are put back? A session of its own at the
 * server, which no process is connected to. (B11, a poison event is not in the way for ever)
 */
import { type Client, type ClientOptions, createClient } from '../client/index.ts'
import { MqttError, type Platform } from '../index.ts'
import { deadKeeperId, deadTopics, type ListenerName } from './bus-names.ts'
import { settledWithin } from './settled-within.ts'

/** How long the server keeps dead letters, unless somebody says otherwise: thirty days. */
export const KEPT_SECONDS = 30 * 24 * 3600
export const KEEPER_CLOSE_MS = 5000
const AHEAD = 20
/** How long a listener waits until the server keeps its dead letters. */
const KEEPING_MS = 10_000
/** How long another process that does the same may take. */
const OTHER_KEEPS_MS = 300
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
 * @returns whether it does, as far as is known; false too if the signal ends this.
 */
export async function keepDeadLetters(
  clock: Platform,
  clientOptions: ClientOptions,
  name: ListenerName,
  signal: AbortSignal,
): Promise<boolean> {
  const stop = new AbortController()
  const end = () => stop.abort()
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  const late = clock.setTimer(end, KEEPING_MS)
  const terms = { seconds: KEPT_SECONDS, isClean: false }
  const { client } = sessionClient(clientOptions, deadKeeperId(name), terms)
  try {
    const letters = client.subscribe(`${deadTopics(name)}/#`, {
      ...{ qos: 1, acks: 'manual', onLeave: 'keep', signal: stop.signal },
    })
    await letters.granted
    return true
  } catch (error) {
    if (stop.signal.aborted || !isAnotherKeeping(error)) return false
    // Another process of the listener keeps them, and subscribes about now.
    const stopped = new Promise((resolve) => stop.signal.addEventListener('abort', resolve))
    await settledWithin(clock, stopped, OTHER_KEEPS_MS)
    return !stop.signal.aborted
  } finally {
    clock.clearTimer(late)
    signal.removeEventListener('abort', end)
    await client.close({ timeout: LEAVING_MS })
  }
}

function isAnotherKeeping(error: unknown): boolean {
  return error instanceof MqttError && error.code === 'SESSION_TAKEN_OVER'
}
