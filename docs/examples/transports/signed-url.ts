/**
 * A WebSocket URL that is valid for a minute, as cloud services want it: signed with a shared key,
 * again for each attempt.
 *
 *   eventloop({ url, connectOptions: signedUrl(url, key) })
 *
 * The URL becomes `wss://broker/mqtt?expires=1767225660&signature=…`.
 *
 * The signature is the HMAC-SHA256 of the path and the whole query, with the time of expiry. The
 * server checks it only when the connection is opened, so a connection outlives its URL.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { ConnectOptions } from 'it-mqtt'

export interface SigningOptions {
  /** Seconds from the beginning of the attempt. Default 60. */
  readonly expiresIn?: number
  /** Returns milliseconds since 1970. Tests replace it. */
  readonly now?: () => number
}

/** @param url is the same as the option `url`, which is checked before the first attempt. */
export function signedUrl(
  url: URL | string,
  key: string | Uint8Array,
  { expiresIn = 60, now = Date.now }: SigningOptions = {},
): ConnectOptions {
  return () => {
    const signed = new URL(url)
    signed.searchParams.set('expires', String(Math.floor(now() / 1000) + expiresIn))
    signed.searchParams.set('signature', signatureOf(signed, key).toString('base64url'))
    return { url: signed }
  }
}

/**
 * Checks a signature, on the server.
 *
 * @param target is the path and query of the request.
 */
export function judgeSignature(
  target: string,
  key: string | Uint8Array,
  now: () => number = Date.now,
): 'good' | 'expired' | 'forged' {
  // The target comes from anybody and may be no URL at all.
  if (!URL.canParse(`ws://server${target}`)) return 'forged'
  const url = new URL(`ws://server${target}`)
  const given = Buffer.from(url.searchParams.get('signature') ?? '', 'base64url')
  const expected = signatureOf(url, key)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'forged'
  const expires = Number(url.searchParams.get('expires') ?? 0)
  return now() / 1000 < expires ? 'good' : 'expired'
}

function signatureOf(url: URL, key: string | Uint8Array): Buffer {
  const unsigned = new URL(url)
  unsigned.searchParams.delete('signature')
  const { pathname, search } = unsigned
  return createHmac('sha256', key).update(`${pathname}${search}`).digest()
}
