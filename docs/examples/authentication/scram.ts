/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) as an `authenticator`: the password never leaves this process.
 *
 *   eventloop({ url: 'mqtts://broker', authenticator: scramSha256('user', 'pencil') })
 *
 * The client-first message is sent with CONNECT, the client-final message with AUTH 0x18. The
 * server-final message comes with CONNACK or AUTH 0x00 and proves that the server knows the
 * password too; if it does not, the connection is closed before anything is published. The proof is
 * not bound to the TLS connection (that would be SCRAM-SHA-256-PLUS), so the certificate must be
 * verified too.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { AuthenticationData, Authenticator } from 'it-mqtt'

/**
 * With fewer iterations a password is cheap to guess from recorded messages (RFC 7677); more than
 * the maximum would let a server keep this process busy.
 */
const ITERATIONS = { min: 4096, max: 1_000_000 }
const HASH_BYTES = 32
/** Says that there is no channel binding, and that the user acts for nobody else. */
const GS2_HEADER = 'n,,'

interface Challenge {
  readonly nonce: string
  readonly salt: Buffer
  readonly iterations: number
}

const derive = promisify(pbkdf2)
const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

/**
 * @param nonce returns printable text without a comma, never the same twice. Tests replace the
 *   default.
 */
export function scramSha256(
  username: string,
  password: string,
  nonce: () => string = freshNonce,
): Authenticator {
  const name = escaped(normalized(username))
  const secret = normalized(password)
  return {
    method: 'SCRAM-SHA-256',
    async *exchange({ data }): AsyncGenerator<AuthenticationData, void, Buffer | undefined> {
      if (data !== undefined && data.length > 0) {
        throw new Error('the server began with a challenge, and in SCRAM the client speaks first')
      }
      const ours = nonce()
      const clientFirst = `n=${name},r=${ours}`
      const serverFirst = textOf(yield `${GS2_HEADER}${clientFirst}`)
      const challenge = challengeOf(serverFirst, ours)

      const binding = Buffer.from(GS2_HEADER).toString('base64')
      const clientFinal = `c=${binding},r=${challenge.nonce}`
      const salted = await derive(
        secret,
        challenge.salt,
        challenge.iterations,
        HASH_BYTES,
        'sha256',
      )
      const transcript = `${clientFirst},${serverFirst},${clientFinal}`
      const serverFinal = textOf(yield `${clientFinal},p=${proofOf(salted, transcript)}`)
      verify(serverFinal, hmac(hmac(salted, 'Server Key'), transcript))
    },
  }
}

function freshNonce(): string {
  return randomBytes(24).toString('base64')
}

/** Applies the normal form of SASLprep. The server refuses the characters that are forbidden. */
function normalized(text: string): string {
  return text.normalize('NFKC')
}

function escaped(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

function textOf(data: Buffer | undefined): string {
  return data?.toString('utf8') ?? ''
}

/**
 * @returns the fields of `r=…,s=…,i=…` by letter. Base64 contains `=`: only the first one splits.
 */
function fieldsOf(message: string): ReadonlyMap<string, string> {
  const fields = new Map(
    message.split(',').map((field) => [field.slice(0, 1), field.slice(2)] as const),
  )
  const error = fields.get('e')
  if (error !== undefined) throw new Error(`the server says "${error}"`)
  return fields
}

function challengeOf(serverFirst: string, ours: string): Challenge {
  const fields = fieldsOf(serverFirst)
  if (fields.has('m')) throw new Error('the server demands an extension that nobody knows')
  const nonce = fields.get('r') ?? ''
  if (!nonce.startsWith(ours) || nonce === ours) {
    throw new Error('the nonce of the server does not go on from ours: not an answer to us')
  }
  const salt = Buffer.from(fields.get('s') ?? '', 'base64')
  if (salt.length === 0) throw new Error('the server sent no salt')
  return { nonce, salt, iterations: iterationsOf(fields.get('i')) }
}

function iterationsOf(text = ''): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (count >= ITERATIONS.min && count <= ITERATIONS.max) return count
  const bounds = `${ITERATIONS.min} to ${ITERATIONS.max}`
  throw new Error(`the server asks for "${text}" iterations, and ${bounds} are allowed`)
}

/**
 * @returns the proof that we have the client key. Only a server that stores its hash can check it.
 */
function proofOf(salted: Buffer, transcript: string): string {
  const clientKey = hmac(salted, 'Client Key')
  const signature = hmac(sha256(clientKey), transcript)
  return Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!)).toString('base64')
}

function verify(serverFinal: string, expected: Buffer): void {
  const signature = Buffer.from(fieldsOf(serverFinal).get('v') ?? '', 'base64')
  if (signature.length === expected.length && timingSafeEqual(signature, expected)) return
  throw new Error('the server has not proved that it knows the password')
}
