/**
 * When is a PINGREQ due, and when is the connection dead? (K1 to K3)
 *
 * A function of what was sent, received, pinged, and whether reading is paused: instants, no counters, so that a clock that
 * jumps makes one decision. While reading is paused silence proves nothing, because an answer would not be read; then only
 * a write that stands still counts.
 */
import type { Mutable } from './draft.ts'
import type { KeepAliveState } from './state.ts'

/** A write that is not taken within this time was backed up, and its moving on is a sign of life. */
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

/** When a PINGREQ must leave; Infinity: none is due. [MQTT-3.1.2-20] */
export function pingDueAt(s: KeepAliveState): number {
  if (s.intervalMs === 0) return Infinity
  if (s.readingPaused) return s.sentAt + s.intervalMs
  return s.pinging ? Infinity : Math.min(s.sentAt, s.receivedAt) + s.intervalMs
}

/** When the connection counts as dead; Infinity: not before something else happens. */
export function deadAt(s: KeepAliveState): number {
  if (s.intervalMs === 0) return Infinity
  if (s.readingPaused) return s.writing ? s.standsSince + 1.5 * s.intervalMs : Infinity
  if (!s.pinging) return Infinity
  if (s.pingTakenAt >= 0) return s.pingTakenAt + s.intervalMs / 2
  // A clock that jumped makes the PINGREQ late; it still has half of keepAlive to be answered (K3).
  return Math.max(s.receivedAt, s.movedAt, s.pingedAt - s.intervalMs) + 1.5 * s.intervalMs
}

/** Bytes were handed to the transport. */
export function keepAliveSent(s: Mutable<KeepAliveState>, at: number): void {
  s.sentAt = at
  if (!s.writing) s.standsSince = at
  s.writing = true
}

/** The kernel took a write. */
export function keepAliveWritten(
  s: Mutable<KeepAliveState>,
  at: number,
  ping: boolean,
  more: boolean,
): void {
  // What the kernel takes at once proves nothing: it may be filling its own buffer.
  if (at - s.standsSince >= BACKED_UP_MS) s.movedAt = at
  s.standsSince = at
  s.writing = more
  if (ping && s.pinging && s.pingTakenAt < 0) s.pingTakenAt = at
}

/** Any byte is a sign of life. */
export function keepAliveReceived(s: Mutable<KeepAliveState>, at: number): void {
  s.receivedAt = at
  s.pinging = false
  s.pingTakenAt = -1
}

/** Another PINGREQ while one waits for its answer gives the connection no more time. */
export function keepAlivePinged(s: Mutable<KeepAliveState>, at: number): void {
  if (s.pinging) return
  s.pinging = true
  s.pingedAt = at
  s.pingTakenAt = -1
}

/** Reading stops or goes on; when it goes on the count starts anew. */
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
