/**
 * When is a PINGREQ due, and when is the connection dead?
 *
 * (K1, when a PINGREQ is due; K2, a dead connection is dropped in time; K3, Server Keep Alive wins,
 * and a clock jump makes one decision)
 *
 * Both answers follow from when bytes were last sent and received, when a PINGREQ was sent, and
 * whether reading is paused. While reading is paused, an answer would not be read, so silence
 * proves nothing: the connection then counts as dead only if a write makes no progress.
 */
import type { Draft, Mutable } from './draft.ts'
import type { KeepAliveState, State } from './state.ts'

/**
 * A write that the kernel takes only after this many ms had to wait for earlier bytes. That the
 * kernel takes it at last proves that the server reads.
 */
const BACKED_UP_MS = 10

export function keepAliveStart(intervalSeconds: number, at: number): KeepAliveState {
  return {
    intervalMs: intervalSeconds * 1000,
    sentAt: at,
    receivedAt: at,
    pinging: false,
    pingedAt: at,
    pingTakenAt: -1,
    readingPaused: false,
    standsSince: at,
    movedAt: at,
    writing: false,
  }
}

/** @returns when a PINGREQ must be sent, or Infinity if none is due. [MQTT-3.1.2-20] */
export function pingDueAt(s: KeepAliveState): number {
  if (s.intervalMs === 0) return Infinity
  if (s.readingPaused) return s.sentAt + s.intervalMs
  return s.pinging ? Infinity : Math.min(s.sentAt, s.receivedAt) + s.intervalMs
}

/** @returns when the connection counts as dead, or Infinity if something else must happen first. */
export function deadAt(s: KeepAliveState): number {
  if (s.intervalMs === 0) return Infinity
  if (s.readingPaused) return s.writing ? s.standsSince + 1.5 * s.intervalMs : Infinity
  if (!s.pinging) return Infinity
  if (s.pingTakenAt >= 0) return s.pingTakenAt + s.intervalMs / 2
  // If the clock jumped, the PINGREQ was sent late. It still has half of keepAlive to be answered.
  return Math.max(s.receivedAt, s.movedAt, s.pingedAt - s.intervalMs) + 1.5 * s.intervalMs
}

/** Notes that bytes were handed to the transport. */
export function keepAliveSent(s: Mutable<KeepAliveState>, at: number): void {
  s.sentAt = at
  if (!s.writing) s.standsSince = at
  s.writing = true
}

/** Notes that the kernel took a write, whether a PINGREQ was in it, and whether more is waiting. */
export function keepAliveWritten(
  s: Mutable<KeepAliveState>,
  at: number,
  ping: boolean,
  more: boolean,
): void {
  // A write that the kernel takes immediately proves nothing: it may be filling its own buffer.
  if (at - s.standsSince >= BACKED_UP_MS) s.movedAt = at
  s.standsSince = at
  s.writing = more
  if (ping && s.pinging && s.pingTakenAt < 0) s.pingTakenAt = at
}

/** Notes that bytes were received. Any byte proves that the server is there. */
export function keepAliveReceived(s: Mutable<KeepAliveState>, at: number): void {
  s.receivedAt = at
  s.pinging = false
  s.pingTakenAt = -1
}

/**
 * How many PINGREQs may be unanswered before the oldest is forgotten. A server that sends messages
 * and never a PINGRESP keeps its connection, for years if it must.
 */
const UNANSWERED_MAX = 100

/** Sends a PINGREQ. `id` is the number of the user's `ping`, or 0 for one of the engine itself. */
export function sendPing(d: Draft, id: number, at: number): void {
  const { connection, isolation } = d
  const isFull = connection.pings.length >= UNANSWERED_MAX
  connection.pings = [...connection.pings.slice(isFull ? 1 : 0), { id, sentAt: at }]
  if (isFull && isolation !== null && isolation.pingsAhead > 0) isolation.pingsAhead--
  keepAlivePinged(d.keepAlive, at)
  d.send({ type: 'pingreq' })
}

/**
 * @returns how many PINGREQs were sent since the last byte from the server; 0 while nothing is
 * read.
 */
export function unansweredPings({
  connection,
  keepAlive,
}: Pick<State, 'connection' | 'keepAlive'>): number {
  const { pings } = connection
  if (keepAlive.readingPaused) return 0
  const answered = pings.findLastIndex(({ sentAt }) => sentAt < keepAlive.receivedAt)
  return pings.length - 1 - answered
}

/**
 * Notes that a PINGREQ was sent. A second one before the answer gives the connection no more time.
 */
export function keepAlivePinged(s: Mutable<KeepAliveState>, at: number): void {
  if (s.pinging) return
  s.pinging = true
  s.pingedAt = at
  s.pingTakenAt = -1
}

/** Notes that reading was paused or resumed. After a pause all time limits start again. */
export function keepAliveReading(s: Mutable<KeepAliveState>, at: number, paused: boolean): void {
  if (s.readingPaused && !paused) {
    s.receivedAt = at
    s.movedAt = at
    s.standsSince = at
    s.pinging = false
    s.pingTakenAt = -1
  }
  s.readingPaused = paused
}
