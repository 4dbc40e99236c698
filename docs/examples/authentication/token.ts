/**
 * A password that expires: `connectOptions` that give each attempt a valid token.
 *
 *   eventloop({ url, username: 'device', connectOptions: renewedToken(fetchToken) })
 *
 * A token that stays valid for a while is used again. A token that the server has refused is never
 * used again, whatever its date says: the clock of this machine may be wrong, or the token
 * withdrawn.
 */
import type { ConnectionFailure, ConnectOptions } from 'it-mqtt'

export interface Token {
  readonly value: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** The codes of a CONNACK that refuses a credential. */
const REFUSALS: ReadonlySet<string> = new Set(['BAD_CREDENTIALS', 'NOT_AUTHORIZED'])

/**
 * @param fetchToken gets a token. If it throws, the attempt has failed and is tried again as any
 *   other. `signal` is aborted when the attempt ends.
 * @param marginMs a token that expires within this time is replaced.
 */
export function renewedToken(
  fetchToken: (signal: AbortSignal) => Token | Promise<Token>,
  marginMs = 30_000,
): ConnectOptions {
  let token: Token | null = null
  return async (_attempt, lastClose, signal) => {
    if (token === null || isRefused(lastClose) || token.expiresAt - Date.now() < marginMs) {
      // The old token must not stay if fetching a new one fails.
      token = null
      token = await fetchToken(signal)
    }
    return { password: token.value }
  }
}

function isRefused(lastClose: ConnectionFailure | null): boolean {
  return lastClose?.phase === 'handshake' && REFUSALS.has(lastClose.code)
}
