/**
 * What do OpenSSL's texts mean, in words for a person?
 *
 * OpenSSL says "…:tlsv13 alert certificate required:../deps/…:1605:SSL alert number 116\n". An
 * alert is known by its number (RFC 8446, 6.2), any other error by its code or its reason.
 */

/** What the server says with an alert, and what to do. */
const ALERTS: Readonly<Record<number, string>> = {
  0: 'the server closed TLS',
  10: 'the server received a TLS message that it did not expect',
  20: 'the server received a TLS record that was damaged on the way',
  22: 'the server received a TLS record that is too long',
  40:
    'the server found no version, cipher or signature of TLS in common, or wants a certificate' +
    ' of this client (tls.cert, tls.key)',
  42: 'the server did not accept the certificate of this client (tls.cert): it is damaged',
  43: 'the server did not accept the kind of certificate of this client (tls.cert)',
  44: 'the server did not accept the certificate of this client (tls.cert): it was revoked',
  45: 'the server did not accept the certificate of this client (tls.cert): it has expired',
  46: 'the server did not accept the certificate of this client (tls.cert)',
  47: 'the server received a TLS parameter that it does not accept',
  48: 'the server does not know the authority of the certificate of this client (tls.cert)',
  49: 'the server refused access to the certificate of this client (tls.cert)',
  50: 'the server received a TLS message that it cannot read',
  51: 'the server could not verify a signature, or decrypt',
  70: 'the server does not support this version of TLS (tls.minVersion, tls.maxVersion)',
  71: 'the server wants stronger ciphers (tls.ciphers)',
  80: 'the server failed within TLS',
  86: 'the server supports a newer version of TLS than this one (tls.maxVersion)',
  90: 'the server gave TLS up',
  100: 'the server refused to negotiate TLS again',
  109: 'the server misses a TLS extension',
  110: 'the server received a TLS extension that it did not expect',
  112: 'the server does not know the name that was asked for (tls.servername)',
  113: 'the server did not accept the OCSP answer',
  115: 'the server does not know the identity of the pre-shared key (tls.pskCallback)',
  116: 'the server requires a certificate of this client (tls.cert, tls.key)',
  120: 'the server supports none of these application protocols (tls.ALPNProtocols)',
}

/** The alerts that are about the certificate of this client, which stays the same if retried. */
const CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48, 49, 116])

const NO_TLS_THERE =
  'what the server answered is not TLS; the port may be one without TLS (mqtt: or ws:)'

/** By the code that Node gives to the error. */
const CODES: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS_THERE,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS_THERE,
  ERR_SSL_RECORD_LAYER_FAILURE: NO_TLS_THERE,
  ERR_SSL_UNEXPECTED_MESSAGE: NO_TLS_THERE,
  ERR_SSL_UNKNOWN_PROTOCOL: NO_TLS_THERE,
  ERR_SSL_HTTP_REQUEST: NO_TLS_THERE,
  ERR_SSL_UNSUPPORTED_PROTOCOL:
    'the server chose a version of TLS that is not allowed here (tls.minVersion, tls.maxVersion)',
  ERR_SSL_NO_PROTOCOLS_AVAILABLE:
    'no version of TLS is left between tls.minVersion and tls.maxVersion',
  ERR_SSL_NO_CIPHERS_AVAILABLE: 'no cipher of tls.ciphers fits the versions of TLS',
  ERR_SSL_NO_SHARED_CIPHER: 'the server has no cipher in common with tls.ciphers',
  ERR_SSL_DH_KEY_TOO_SMALL: 'the Diffie-Hellman key of the server is too small to be safe',
  ERR_SSL_EE_KEY_TOO_SMALL: 'the key of a certificate is too small to be safe',
  ERR_SSL_NO_CIPHER_MATCH: 'tls.ciphers names no cipher that OpenSSL knows',
  ERR_SSL_UNSAFE_LEGACY_RENEGOTIATION_DISABLED:
    'the server only knows the unsafe old way to negotiate TLS again',
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: 'tls.key is not the private key of tls.cert',
  ERR_OSSL_X509_KEY_TYPE_MISMATCH: 'tls.key is not the private key of tls.cert',
  ERR_OSSL_EVP_UNSUPPORTED: 'tls.key has a form that OpenSSL does not support',
  ERR_OSSL_ASN1_DECODE_ERROR: 'tls.key has a form that is not supported, or is damaged',
  ERR_OSSL_UNSUPPORTED: 'tls.key has a form that OpenSSL does not support, or is damaged',
  ERR_OSSL_PEM_NO_START_LINE: 'tls.cert or tls.key is damaged: its PEM cannot be read',
  ERR_OSSL_PEM_BAD_BASE64_DECODE: 'tls.cert or tls.key is damaged: its PEM cannot be read',
}

/** Settings of this side that fail before anything is sent. */
const OWN_FAULTS: ReadonlySet<string> = new Set([
  'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
  'ERR_SSL_NO_CIPHERS_AVAILABLE',
  'ERR_SSL_NO_CIPHER_MATCH',
])

/** OpenSSL's line: the reason stands behind the library and the function. */
const OPENSSL = /(?:^|:)error:[\dA-F]+:[^:]*:[^:]*:([^:\n]+)/i

/** @returns the number of the alert that the server sent, or -1 if the error is none. */
function alertOf(message: string): number {
  const [, number] = /SSL alert number (\d+)/.exec(message) ?? []
  return number === undefined ? -1 : Number(number)
}

/** @returns an error of TLS in plain words, or null if it is no error of TLS. */
export function tlsWords(code: string | undefined, message: string): string | null {
  const alert = alertOf(message)
  if (alert >= 0) return ALERTS[alert] ?? `the server sent TLS alert ${alert}`
  const known = code === undefined ? undefined : CODES[code]
  if (known !== undefined) return known
  if (/wrong version number|packet length too long/i.test(message)) return NO_TLS_THERE
  const [, reason] = OPENSSL.exec(message) ?? []
  return reason === undefined ? null : `TLS failed: ${reason.trim()}`
}

/** Whether the server did not accept the certificate of this client. */
export function isCertificateAlert(message: string): boolean {
  return CERTIFICATE_ALERTS.has(alertOf(message))
}

/** Whether the settings of this side are at fault, whatever the server is. */
export function isOwnTlsFault(code: string): boolean {
  return OWN_FAULTS.has(code)
}
