/**
 * Can these options for TLS work?
 *
 * A key that belongs to another certificate, or a cipher that nobody knows, would fail at every
 * attempt in the same way. OpenSSL is asked once, and what it made is forgotten, so that a loop
 * that is not connected keeps no context. What OpenSSL passes over in silence is checked here.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, DEFAULT_MAX_VERSION, DEFAULT_MIN_VERSION } from 'node:tls'
import { domainToASCII } from 'node:url'
import type { TlsOptions } from '#runtime'
import { tlsWords } from './tls-words.ts'

type Field = keyof TlsOptions

/** The types of fields that Node checks late or not at all. */
const TYPES: Readonly<
  Partial<Record<Field, readonly [form: string, is: (v: unknown) => boolean]>>
> = {
  rejectUnauthorized: ['true or false', (v) => typeof v === 'boolean'],
  servername: ['a string with the name of a host', isServername],
  passphrase: ['a string', (v) => typeof v === 'string'],
  ciphers: ['a string', (v) => typeof v === 'string'],
  checkServerIdentity: ['a function', (v) => typeof v === 'function'],
  pskCallback: ['a function', (v) => typeof v === 'function'],
  minDHSize: ['a number above 0', (v) => typeof v === 'number' && v > 0],
  session: ['bytes', (v) => v instanceof Uint8Array],
  ALPNProtocols: [
    'a list of names of 1 to 255 bytes, or such names each behind its length',
    isAlpn,
  ],
}

/** An empty name asks for none. */
function isServername(value: unknown): boolean {
  if (typeof value !== 'string') return false
  return value === '' || isIP(value) !== 0 || domainToASCII(value) !== ''
}

function isAlpn(value: unknown): boolean {
  if (value instanceof Uint8Array) return isAlpnList(value)
  if (!Array.isArray(value) || value.length === 0) return false
  return value.every((one) => {
    const bytes = typeof one === 'string' ? Buffer.byteLength(one) : (one?.byteLength ?? 0)
    return bytes >= 1 && bytes <= 255
  })
}

/** Node ends the process at bytes that are no list of names. */
function isAlpnList(bytes: Uint8Array): boolean {
  let at = 0
  while (at < bytes.length) {
    if (bytes[at] === 0) return false
    at += 1 + bytes[at]!
  }
  return at === bytes.length && at > 0
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/
const CERTIFICATES =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g
const PRIVATE_KEY = /-----BEGIN (?:[A-Z\d]+ )*PRIVATE KEY-----/

const VERSIONS: readonly unknown[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

/** The fields with which an object was found to work. */
const checked = new WeakMap<TlsOptions, TlsOptions>()

/** @returns what is wrong with the options, in a sentence that names the field; or null. */
export function tlsProblem(tls: TlsOptions): string | null {
  const before = checked.get(tls)
  if (before !== undefined && isUnchanged(before, tls)) return null
  const problem =
    typeProblem(tls) ??
    pemProblem(tls) ??
    partnerProblem(tls) ??
    versionProblem(tls) ??
    contextProblem(tls) ??
    pairProblem(tls)
  if (problem === null) checked.set(tls, { ...tls })
  return problem
}

function isUnchanged(before: TlsOptions, now: TlsOptions): boolean {
  const names = Object.keys(now) as Field[]
  const same = names.length === Object.keys(before).length
  return same && names.every((name) => before[name] === now[name])
}

function typeProblem(tls: TlsOptions): string | null {
  for (const [name, [form, is]] of Object.entries(TYPES)) {
    const value: unknown = tls[name as Field]
    // The message does not show the value, which may be a secret.
    if (value !== undefined && !is(value)) return `tls.${name} must be ${form}`
  }
  return null
}

/** OpenSSL skips certificates of authorities that it cannot read, and then trusts none of them. */
function pemProblem({ ca, cert, key, pfx }: TlsOptions): string | null {
  const all = [
    ...partsOf(ca).map((text) => pem('ca', text, CERTIFICATE) ?? damaged('ca', text)),
    ...partsOf(cert).map((text) => pem('cert', text, CERTIFICATE) ?? damaged('cert', text)),
    ...partsOf(key).map((text) => pem('key', text, PRIVATE_KEY)),
  ]
  if (Array.isArray(ca) && ca.length === 0) return 'tls.ca is empty, so no server would be trusted'
  for (const [name, value] of Object.entries({ cert, key, pfx })) {
    if (Array.isArray(value) && value.length === 0) return `tls.${name} is an empty list`
  }
  return all.find((problem) => problem !== null) ?? null
}

/** @returns the texts of a field: one, or a list of texts, bytes or `{ pem }`. */
function partsOf(value: unknown): readonly string[] {
  if (value === undefined || value === null) return []
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.map((one) => {
    const { pem: within = one } = (one ?? {}) as { pem?: unknown }
    if (typeof within === 'string') return within
    return within instanceof Uint8Array ? Buffer.from(within).toString('latin1') : ''
  })
}

function pem(name: string, text: string, begin: RegExp): string | null {
  if (begin.test(text)) return null
  const kind = begin === CERTIFICATE ? 'a certificate' : 'a private key'
  return `tls.${name} is not ${kind} in PEM ("-----BEGIN …")${pathHint(text)}`
}

function pathHint(text: string): string {
  const isPath = /^[^\n]{1,500}\.\w{2,4}$/.test(text.trim()) || /^\.{0,2}\//.test(text)
  return isPath ? '; it looks like a path: give the contents of the file, readFileSync(path)' : ''
}

function damaged(name: string, text: string): string | null {
  const begins = text.match(new RegExp(CERTIFICATE, 'g'))?.length ?? 0
  const whole = text.match(CERTIFICATES) ?? []
  const isDamaged = whole.length < begins || !whole.every(isCertificate)
  return isDamaged ? `tls.${name} has a certificate that is damaged: it cannot be read` : null
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text.replace(/TRUSTED /g, '')).raw.length > 0
  } catch {
    // OpenSSL's own format of trusted certificates has more in it than X509Certificate reads.
    return /TRUSTED/.test(text)
  }
}

/** Fields without effect because another one is missing, or that contradict each other. */
function partnerProblem(tls: TlsOptions): string | null {
  const { cert, key, pfx, passphrase, secureContext } = tls
  const engine = 'privateKeyIdentifier' in tls && tls.privateKeyIdentifier !== undefined
  if (cert && !key && !engine && !secureContext) {
    return 'tls.cert has no effect without its private key; give tls.key'
  }
  if (key && !cert && !secureContext) {
    return 'tls.key has no effect without its certificate; give tls.cert'
  }
  if (passphrase && !key && !pfx) return 'tls.passphrase has no effect without tls.key or tls.pfx'
  return null
}

function versionProblem(tls: TlsOptions): string | null {
  const { minVersion, maxVersion, secureProtocol, ciphers, secureContext } = tls
  if (secureProtocol || secureContext) return null
  const [from, to] = [minVersion ?? DEFAULT_MIN_VERSION, maxVersion ?? DEFAULT_MAX_VERSION]
  const [least, most] = [VERSIONS.indexOf(from), VERSIONS.indexOf(to)]
  if (least < 0 || most < 0) return null
  if (least > most) {
    const byDefault = minVersion === undefined ? ' by default; give it, too' : ''
    return `tls.minVersion (${from}) is above tls.maxVersion (${to})${byDefault}`
  }
  const isOnlyFor13 = ciphers?.split(':').every((name) => name.startsWith('TLS_'))
  return isOnlyFor13 && to !== 'TLSv1.3' ? `tls.ciphers has none for tls.maxVersion (${to})` : null
}

/** OpenSSL compares a key only with a certificate of the same kind (RSA, EC). */
function pairProblem({ cert, key, passphrase }: TlsOptions): string | null {
  if (!cert || !key) return null
  try {
    const keys = [key].flat().map((one) => privateKeyOf(one, passphrase))
    const first = partsOf(cert).map((text) => new X509Certificate(text.match(CERTIFICATES)![0]))
    if (first.every((one) => keys.some((each) => one.checkPrivateKey(each)))) return null
  } catch {
    // OpenSSL has accepted what cannot be read here.
    return null
  }
  return 'tls.key is not the private key of tls.cert (of its first certificate)'
}

function privateKeyOf(given: unknown, common: string | undefined): KeyObject {
  const passphrase = passphraseOf(given, common)
  const key = partsOf(given)[0]!
  return createPrivateKey({
    key,
    format: 'pem',
    ...(passphrase === undefined ? {} : { passphrase }),
  })
}

/** @returns the passphrase of a key or of a file in PKCS#12, which may have its own. */
function passphraseOf(given: unknown, common: string | undefined): string | undefined {
  const { passphrase = common } = (given ?? {}) as { readonly passphrase?: string | undefined }
  return passphrase
}

function contextProblem(tls: TlsOptions): string | null {
  if (tls.secureContext !== undefined) return null
  try {
    createSecureContext(tls)
    return null
  } catch (error) {
    return contextWords(tls, error as Error & { code?: string })
  }
}

/** What OpenSSL, or BoringSSL in Bun, says of a passphrase that is wrong or missing. */
const UNDECRYPTED = /bad[ _]decrypt|mac verify failure|bad password|interrupted or cancelled/i
/** What they say of a list of signature algorithms. */
const UNKNOWN_SIGNATURE = /reason\(0\)|INVALID_SIGNATURE_ALGORITHM/

function contextWords(
  { passphrase, key, pfx, minVersion, maxVersion, sigalgs }: TlsOptions,
  { code, message }: Error & { code?: string },
): string {
  // One wrong passphrase in some two hundred yields bytes that look decrypted.
  const looksDecrypted = isEncrypted(key) && /decoder.*unsupported|decode_error/i.test(message)
  if (looksDecrypted || UNDECRYPTED.test(message)) {
    const [what, given] = key === undefined ? ['tls.pfx', pfx] : ['tls.key', key]
    const isNone = [given].flat().every((one) => passphraseOf(one, passphrase) === undefined)
    return isNone
      ? `${what} is encrypted; give tls.passphrase`
      : `tls.passphrase does not fit ${what}`
  }
  if (pfx !== undefined && (code === undefined || /PFX|PKCS12/i.test(message))) {
    return pfxWords(pfx, message)
  }
  if (code === 'ERR_TLS_INVALID_PROTOCOL_VERSION') {
    const name = VERSIONS.includes(minVersion ?? 'TLSv1') ? 'maxVersion' : 'minVersion'
    const given = name === 'minVersion' ? minVersion : maxVersion
    return `tls.${name} must be one of ${VERSIONS.join(', ')}, not ${JSON.stringify(given)}`
  }
  if (sigalgs !== undefined && UNKNOWN_SIGNATURE.test(message)) {
    return 'tls.sigalgs names no signature algorithm that OpenSSL knows'
  }
  // Node shows the value of the wrong type, which may be a secret.
  const shown = message.replace(/ Received .*$/s, '').replace(/\.$/, '')
  const words = tlsWords(code, message)
  return words?.startsWith('tls.') ? words : `tls: ${words ?? shown}`
}

function pfxWords(pfx: TlsOptions['pfx'], message: string): string {
  if (/unsupported/i.test(message)) {
    return (
      'tls.pfx is encrypted in an old way that OpenSSL does not support any more; convert it with' +
      ' openssl pkcs12 -legacy -nodes, and openssl pkcs12 -export'
    )
  }
  if (/private key/i.test(message)) return 'tls.pfx has no private key'
  return `tls.pfx is damaged, or not in the format PKCS#12${pathHint(partsOf(pfx)[0] ?? '')}`
}

function isEncrypted(key: TlsOptions['key']): boolean {
  return [key].flat().some((one) => {
    const pem = typeof one === 'object' && 'pem' in one ? one.pem : one
    return pem?.toString().includes('ENCRYPTED') ?? false
  })
}
