/**
 * When do connections, sessions and wills end?
 *
 * A session without a connection lives until its Session Expiry Interval has passed. A will is
 * published when its delay has passed or the session ends, whichever comes first. (3.1.2.5, 4.1)
 */
import type { ConnectPacket } from '../protocol/packets.ts'
import type { BrokerConnection, BrokerCore, BrokerSession, BrokerWill } from './broker-state.ts'
import { redistribute, routeMessage } from './routing.ts'

/** @returns the will of a CONNECT, or null. */
export function acceptedWill(
  core: BrokerCore,
  { will, clientId }: ConnectPacket,
): BrokerWill | null {
  if (will === undefined) return null
  const { willDelayInterval = 0, messageExpiryInterval, ...properties } = will.properties ?? {}
  return {
    message: {
      topic: will.topic,
      payload: will.payload as Uint8Array,
      qos: will.qos ?? 0,
      retain: will.retain ?? false,
      properties,
      lifeMs: (messageExpiryInterval ?? Number.POSITIVE_INFINITY) * 1000,
      expiresAt: Number.POSITIVE_INFINITY,
      publisher: clientId,
    },
    delayMs: core.settings.willDelayed ? willDelayInterval * 1000 : 0,
  }
}

function publishWill(core: BrokerCore, { message }: BrokerWill): void {
  const { willPublished, willLateMs } = core.settings
  if (!willPublished) return
  const publish = (): void => {
    routeMessage(core, { ...message, expiresAt: core.clock.now() + message.lifeMs })
  }
  if (willLateMs === 0) publish()
  else core.timers.after(willLateMs, publish)
}

/** Makes a session without a connection. */
export function beginSession(core: BrokerCore, clientId: string): BrokerSession {
  const session: BrokerSession = {
    clientId,
    subscriptions: new Map(),
    queue: [],
    sent: new Map(),
    unreleased: new Set(),
    ...{ lastIdentifier: 0, expiryMs: 0, expiresAt: Number.POSITIVE_INFINITY },
    ...{ connection: null, pendingWill: null, expiryTimer: null, willTimer: null },
  }
  core.sessions.set(clientId, session)
  return session
}

/** Ends a session, and publishes the will that waited for its delay. */
export function endSession(core: BrokerCore, session: BrokerSession): void {
  if (core.sessions.get(session.clientId) === session) core.sessions.delete(session.clientId)
  const { pendingWill } = session
  wakeSession(core, session)
  if (pendingWill !== null) publishWill(core, pendingWill)
}

/** Stops the timers of a session that was away, and drops its will. */
export function wakeSession(core: BrokerCore, session: BrokerSession): void {
  core.timers.clear(session.expiryTimer)
  core.timers.clear(session.willTimer)
  session.pendingWill = null
  session.expiresAt = Number.POSITIVE_INFINITY
}

/**
 * Takes a connection out of the broker. What happens to its will and its session follows from the
 * will, which a DISCONNECT with reason code 0 has removed before.
 */
export function connectionEnded(core: BrokerCore, connection: BrokerConnection): void {
  const session = leaveSession(core, connection)
  if (session === null) return
  const { will } = connection
  redistribute(core, session)
  if (session.expiryMs === 0) {
    session.pendingWill = will
    return endSession(core, session)
  }
  awaitExpiry(core, session)
  if (will === null) return
  if (will.delayMs === 0) return publishWill(core, will)
  session.pendingWill = will
  session.willTimer = core.timers.after(will.delayMs, () => {
    session.pendingWill = null
    publishWill(core, will)
  })
}

/** @returns the session that has lost its connection, or null if it had none. */
function leaveSession(core: BrokerCore, connection: BrokerConnection): BrokerSession | null {
  connection.open = false
  if (!core.connections.delete(connection)) return null
  core.timers.clear(connection.silenceTimer)
  const { session } = connection
  if (session === null || session.connection !== connection) return null
  session.connection = null
  return session
}

function awaitExpiry(core: BrokerCore, session: BrokerSession): void {
  if (session.expiryMs === Number.POSITIVE_INFINITY) return
  session.expiresAt = core.clock.now() + session.expiryMs
  session.expiryTimer = core.timers.after(session.expiryMs, () => endSession(core, session))
}

/**
 * Takes the session from a connection that another one of the same client replaces.
 * @param successor the CONNECT of the new connection. If it asks for a clean start the session
 * ends.
 */
export function replaceConnection(
  core: BrokerCore,
  connection: BrokerConnection,
  successor: ConnectPacket,
): void {
  const { willOnTakeover } = core.settings
  const will = willOnTakeover === 'new' ? acceptedWill(core, successor) : connection.will
  const session = leaveSession(core, connection)
  if (session === null || will === null || willOnTakeover === false) return
  // A will with a delay is not sent if the session goes on. (3.1.3.2.2)
  const isDue = successor.clean !== false || will.delayMs === 0
  if (willOnTakeover === 'new' || isDue) publishWill(core, will)
}

/** Stops the broker as a crash does: no will is published. */
export function crash(core: BrokerCore, keepSessions: boolean): void {
  for (const connection of [...core.connections]) {
    connection.will = null
    const session = leaveSession(core, connection)
    if (session === null) continue
    if (session.expiryMs === 0) endSession(core, session)
    else awaitExpiry(core, session)
  }
  if (keepSessions) return
  for (const session of [...core.sessions.values()]) {
    session.pendingWill = null
    endSession(core, session)
  }
}
