/**
 * A password that expires: `connectOptions` that bring a token which is good for the attempt at hand.
 *
 *   eventloop({ url, username: 'device', connectOptions: renewedToken(fetchToken) })
 *
 * One that stays valid for a while is used again; one that the server has refused never is, whatever its date says: the clock
 * of this machine may be wrong, or the token withdrawn.
 */
import type { ConnectionFailure, ConnectOptions } from 'it-mqtt'

export interface Token {
  readonly value: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** Codes of a CONNACK that says no to a credential. */
const REFUSALS: ReadonlySet<string> = new Set(['BAD_CREDENTIALS', 'NOT_AUTHORIZED'])

/**
 * @param fetchToken its error is a failed attempt, and is tried again as any other; `signal` ends it with the attempt.
 * @param marginMs a token with less left is not worth an attempt.
 */
export function renewedToken(
  fetchToken: (signal: AbortSignal) => Token | Promise<Token>,
  marginMs = 30_000,
): ConnectOptions {
  let token: Token | null = null
  return async (_attempt, lastClose, signal) => {
    if (token === null || isRefused(lastClose) || token.expiresAt - Date.now() < marginMs) {
      // Not kept while a new one is fetched: what comes of that may be an error.
      token = null
      token = await fetchToken(signal)
    }
    return { password: token.value }
  }
}

function isRefused(lastClose: ConnectionFailure | null): boolean {
  return lastClose?.phase === 'handshake' && REFUSALS.has(lastClose.code)
}
