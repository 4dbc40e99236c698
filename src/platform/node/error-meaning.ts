/**
 * What do the errors of Node's sockets and of OpenSSL mean?
 */
import type { ErrorMeaning } from '../byte-stream.ts'
import { isCertificateAlert, isOwnTlsFault, tlsWords } from './tls-words.ts'

/** OpenSSL's codes for a certificate that cannot be accepted. */
const CERTIFICATE =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/
/**
 * Node's codes for an address that cannot be reached by trying again: an unknown name, a port or
 * option that is invalid.
 */
const HOPELESS: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'EACCES',
  'ERR_ACCESS_DENIED',
  'ERR_SOCKET_BAD_PORT',
  'ERR_INVALID_ARG_VALUE',
  'ERR_INVALID_ARG_TYPE',
])

/** Codes of OpenSSL and Node for TLS settings that cannot work, whatever the server is. */
const TLS_SETTINGS = /^ERR_(?:OSSL_|TLS_INVALID_|TLS_PROTOCOL_VERSION_CONFLICT)/

/** What some errors of Node mean in our own transports, by scheme, stage, code and text. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [
    /before secure TLS connection was established|^\S+ tls (?:ECONNRESET|EPIPE)/,
    'the server closed during the TLS handshake; the port may be one without TLS (mqtt: or ws:)',
  ],
  [
    /^wss: upgrade (?:ECONNRESET|EPIPE)/,
    'the server closed during the WebSocket upgrade; the port may be one without WebSocket' +
      ' (mqtts:)',
  ],
  [
    /socket hang up|^\S+ upgrade (?:ECONNRESET|EPIPE)/,
    'the server closed during the WebSocket upgrade; the port may be one with TLS (wss:), or' +
      ' without WebSocket (mqtt:)',
  ],
  [/ HPE_/, 'what answered is not HTTP; without WebSocket use mqtt: (with TLS mqtts:)'],
]

/**
 * @param situation the scheme and what the opening was waiting for, such as `wss: upgrade`; null
 *   for a transport of the user.
 * @returns what an error means.
 */
export function meaningOf(code: string, text: string, situation: string | null): ErrorMeaning {
  const seen = `${situation} ${code} ${text}`
  const known = situation === null ? undefined : WORDS.find(([means]) => means.test(seen))
  const isBadCertificate = CERTIFICATE.test(code)
  const isRefusedCertificate = isCertificateAlert(text)
  return {
    words: known?.[1] ?? tlsWords(code, text),
    isBadCertificate,
    isRefusedCertificate,
    isBadSetting: TLS_SETTINGS.test(code) || isOwnTlsFault(code),
    isHopeless: isBadCertificate || isRefusedCertificate || HOPELESS.has(code),
  }
}
