/**
 * Can these options for TLS work?
 *
 * A key that belongs to another certificate, or a cipher that nobody knows, would fail at every
 * attempt in the same way. OpenSSL is asked once, and what it made is forgotten, so that a loop
 * that is not connected keeps no context. What OpenSSL passes over in silence is checked here.
 */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { TlsOptions } from './runtime.ts'
import { tlsWords } from './tls-words.ts'

type Field = keyof TlsOptions

/** The types of fields that Node checks late or not at all. */
const TYPES: Readonly<
  Partial<Record<Field, readonly [form: string, is: (v: unknown) => boolean]>>
> = {
  rejectUnauthorized: ['true or false', (v) => typeof v === 'boolean'],
  servername: ['a string', (v) => typeof v === 'string'],
  passphrase: ['a string', (v) => typeof v === 'string'],
  ciphers: ['a string', (v) => typeof v === 'string'],
  checkServerIdentity: ['a function', (v) => typeof v === 'function'],
  pskCallback: ['a function', (v) => typeof v === 'function'],
  minDHSize: ['a number above 0', (v) => typeof v === 'number' && v > 0],
  session: ['bytes', (v) => v instanceof Uint8Array],
  ALPNProtocols: ['a list of names of 1 to 255 bytes, or bytes', isAlpn],
}

function isAlpn(value: unknown): boolean {
  if (value instanceof Uint8Array) return true
  if (!Array.isArray(value) || value.length === 0) return false
  return value.every((one) => {
    const bytes = typeof one === 'string' ? Buffer.byteLength(one) : (one?.byteLength ?? 0)
    return bytes >= 1 && bytes <= 255
  })
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
  const problem = typeProblem(tls) ?? pemProblem(tls) ?? partnerProblem(tls) ?? contextProblem(tls)
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
function pemProblem({ ca, cert, key }: TlsOptions): string | null {
  const all = [
    ...partsOf(ca).map((text) => pem('ca', text, CERTIFICATE) ?? damaged('ca', text)),
    ...partsOf(cert).map((text) => pem('cert', text, CERTIFICATE) ?? damaged('cert', text)),
    ...partsOf(key).map((text) => pem('key', text, PRIVATE_KEY)),
  ]
  if (Array.isArray(ca) && ca.length === 0) return 'tls.ca is empty, so no server would be trusted'
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
  const isPath = /^[^\n]{1,500}\.\w{2,4}$/.test(text.trim()) || /^\.{0,2}\//.test(text)
  const hint = isPath
    ? '; it looks like a path: give the contents of the file, readFileSync(path)'
    : ''
  return `tls.${name} is not ${kind} in PEM ("-----BEGIN …")${hint}`
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
  const { cert, key, pfx, passphrase, secureContext, minVersion, maxVersion } = tls
  const engine = 'privateKeyIdentifier' in tls && tls.privateKeyIdentifier !== undefined
  if (cert && !key && !engine && !secureContext) {
    return 'tls.cert has no effect without its private key; give tls.key'
  }
  if (key && !cert && !secureContext) {
    return 'tls.key has no effect without its certificate; give tls.cert'
  }
  if (passphrase && !key && !pfx) return 'tls.passphrase has no effect without tls.key or tls.pfx'
  const [least, most] = [VERSIONS.indexOf(minVersion), VERSIONS.indexOf(maxVersion)]
  if (least >= 0 && most >= 0 && least > most) {
    return `tls.minVersion (${minVersion}) is above tls.maxVersion (${maxVersion})`
  }
  return null
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

/** What OpenSSL says of a passphrase that is wrong or missing. */
const UNDECRYPTED = /bad decrypt|mac verify failure|bad password|interrupted or cancelled/i

function contextWords(
  { passphrase, key, pfx, minVersion, maxVersion, sigalgs }: TlsOptions,
  { code, message }: Error & { code?: string },
): string {
  // One wrong passphrase in some two hundred yields bytes that look decrypted.
  const looksDecrypted = isEncrypted(key) && /decoder.*unsupported/i.test(message)
  if (looksDecrypted || UNDECRYPTED.test(message)) {
    const what = pfx !== undefined && key === undefined ? 'tls.pfx' : 'tls.key'
    return passphrase === undefined
      ? `${what} is encrypted; give tls.passphrase`
      : `tls.passphrase does not fit ${what}`
  }
  if (pfx !== undefined && code === undefined) {
    return 'tls.pfx is damaged, or not in the format PKCS#12'
  }
  if (code === 'ERR_TLS_INVALID_PROTOCOL_VERSION') {
    const name = VERSIONS.includes(minVersion ?? 'TLSv1') ? 'maxVersion' : 'minVersion'
    const given = name === 'minVersion' ? minVersion : maxVersion
    return `tls.${name} must be one of ${VERSIONS.join(', ')}, not ${JSON.stringify(given)}`
  }
  if (sigalgs !== undefined && /reason\(0\)/.test(message)) {
    return 'tls.sigalgs names no signature algorithm that OpenSSL knows'
  }
  // Node shows the value of the wrong type, which may be a secret.
  const shown = message.replace(/ Received .*$/s, '').replace(/\.$/, '')
  const words = tlsWords(code, message)
  return words?.startsWith('tls.') ? words : `tls: ${words ?? shown}`
}

function isEncrypted(key: TlsOptions['key']): boolean {
  return [key].flat().some((one) => {
    const pem = typeof one === 'object' && 'pem' in one ? one.pem : one
    return pem?.toString().includes('ENCRYPTED') ?? false
  })
}
