/**
 * Goal: TLS settings that cannot work are a UsageError before anything is dialled, in words that
 * name the setting, and what works is accepted. Method: certificates made by openssl, one fault at a
 * time; at the door, in `connect()` and in what `connectOptions` returns.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { connect, eventloop, UsageError } from '../../src/index.ts'
import { tlsProblem } from '../../src/platform/node/tls-settings.ts'
import { Authority } from '../support/certificates.ts'
import { startLoop } from '../support/loop.ts'
import { temporaryFolder } from '../support/process.ts'

interface Files {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly otherKey: string
  /** A key of another kind, and its certificate. */
  readonly rsaKey: string
  readonly rsaCert: string
  readonly encryptedKey: string
  readonly pfx: Buffer
  readonly der: Buffer
}

let files: Files
const url = 'mqtts://localhost'

beforeAll(async () => {
  const { path: folder, remove } = temporaryFolder()
  const authority = await Authority.create(folder, 'tls-settings')
  const mine = await authority.issue({ names: 'DNS:localhost' })
  const other = await authority.issue({ names: 'DNS:localhost' })
  const made = (name: string, ...args: string[]) => {
    const path = join(folder, name)
    execFileSync('openssl', [...args, '-out', path], { stdio: 'pipe' })
    return readFileSync(path)
  }
  const text = (path: string) => readFileSync(path, 'utf8')
  const secret = ['-passout', 'pass:secret']
  const rsaKey = made('rsa.key', 'genpkey', '-algorithm', 'RSA').toString()
  files = {
    ca: authority.pem.toString(),
    cert: text(mine.cert),
    key: text(mine.key),
    otherKey: text(other.key),
    rsaKey,
    rsaCert: made(
      'rsa.pem',
      'req',
      '-x509',
      '-key',
      join(folder, 'rsa.key'),
      '-subj',
      '/CN=rsa',
    ).toString(),
    encryptedKey: made('enc.key', 'pkey', '-in', mine.key, '-aes128', ...secret).toString(),
    pfx: made('a.p12', 'pkcs12', '-export', '-in', mine.cert, '-inkey', mine.key, ...secret),
    der: made('a.der', 'x509', '-in', mine.cert, '-outform', 'der'),
  }
  remove()
})

type Settings = (f: Files) => object
const broken: readonly (readonly [name: string, tls: Settings, says: RegExp])[] = [
  [
    'a key of another certificate',
    ({ cert, otherKey }) => ({ cert, key: otherKey }),
    /tls\.key is not the private key of tls\.cert/,
  ],
  [
    'a key of another kind',
    ({ cert, rsaKey }) => ({ cert, key: rsaKey }),
    /tls\.key is not the private key of tls\.cert/,
  ],
  [
    'a chain that begins with the certificate of another kind of key',
    ({ cert, key, rsaCert }) => ({ cert: rsaCert + cert, key }),
    /tls\.key is not the private key of tls\.cert/,
  ],
  [
    'the wrong passphrase of one key',
    ({ cert, encryptedKey: pem }) => ({ cert, key: [{ pem, passphrase: 's3cret' }] }),
    /tls\.passphrase does not fit tls\.key/,
  ],
  [
    'the path of a file in PKCS#12',
    () => ({ pfx: '/etc/mqtt/client.p12' }),
    /tls\.pfx is .* looks like a path.*readFileSync/,
  ],
  ['an empty list of keys', () => ({ cert: [], key: [] }), /tls\.cert is an empty list/],
  [
    'a last version below the default of the first one',
    () => ({ maxVersion: 'TLSv1.1' }),
    /tls\.minVersion \(TLSv1\.2\) is above tls\.maxVersion \(TLSv1\.1\) by default/,
  ],
  [
    'ciphers of a version that is not allowed',
    () => ({ ciphers: 'TLS_AES_128_GCM_SHA256', maxVersion: 'TLSv1.2' }),
    /tls\.ciphers has none for tls\.maxVersion/,
  ],
  [
    'bytes that are no list of protocols',
    () => ({ ALPNProtocols: Buffer.from('mqtt') }),
    /tls\.ALPNProtocols must be/,
  ],
  ['a URL as name', () => ({ servername: 'https://h:8883' }), /tls\.servername must be/],
  [
    'a wrong passphrase',
    ({ cert, encryptedKey }) => ({ cert, key: encryptedKey, passphrase: 's3cret' }),
    /tls\.passphrase does not fit tls\.key/,
  ],
  [
    'no passphrase',
    ({ cert, encryptedKey }) => ({ cert, key: encryptedKey }),
    /tls\.key is encrypted; give tls\.passphrase/,
  ],
  [
    'a passphrase that is none',
    ({ cert, encryptedKey }) => ({ cert, key: encryptedKey, passphrase: 53_373 }),
    /tls\.passphrase must be a string/,
  ],
  [
    'a wrong passphrase of PKCS#12',
    ({ pfx }) => ({ pfx, passphrase: 's3cret' }),
    /tls\.passphrase does not fit tls\.pfx/,
  ],
  ['no passphrase of PKCS#12', ({ pfx }) => ({ pfx }), /tls\.pfx is encrypted/],
  ['no PKCS#12', () => ({ pfx: Buffer.from('x') }), /tls\.pfx is damaged/],
  ['a certificate without its key', ({ cert }) => ({ cert }), /tls\.cert .* give tls\.key/],
  ['a key without its certificate', ({ key }) => ({ key }), /tls\.key .* give tls\.cert/],
  [
    'a passphrase for nothing',
    () => ({ passphrase: 's3cret' }),
    /tls\.passphrase has no effect without/,
  ],
  ['a certificate that is no PEM', ({ key }) => ({ cert: 'x', key }), /tls\.cert is not .* PEM/],
  ['a key that is no PEM', ({ cert }) => ({ cert, key: 'x' }), /tls\.key is not .* PEM/],
  ['an authority that is no PEM', () => ({ ca: 'x' }), /tls\.ca is not .* PEM/],
  ['an empty file of authorities', () => ({ ca: Buffer.alloc(0) }), /tls\.ca is not .* PEM/],
  ['no authority at all', () => ({ ca: [] }), /tls\.ca is empty/],
  ['one bad authority of two', ({ ca }) => ({ ca: [ca, 'x'] }), /tls\.ca is not/],
  ['DER', ({ der, key }) => ({ cert: der, key }), /tls\.cert is not .* PEM/],
  ['DER as authority', ({ der }) => ({ ca: der }), /tls\.ca is not .* PEM/],
  [
    'a path in the place of the contents',
    () => ({ ca: '/etc/ssl/ca.pem' }),
    /tls\.ca is not .* looks like a path.*readFileSync/,
  ],
  [
    'certificate and key exchanged',
    ({ cert, key }) => ({ cert: key, key: cert }),
    /tls\.cert is not a certificate/,
  ],
  [
    'an authority that is damaged',
    ({ ca }) => ({
      ca: ca.replace(/[A-Za-z]{3}/g, (all) => (all === all.toUpperCase() ? 'AAA' : all)),
    }),
    /tls\.ca/,
  ],
  [
    'an authority that is cut off, behind a good one',
    ({ ca }) => ({ ca: ca + ca.slice(0, ca.length / 2) }),
    /tls\.ca has a certificate that is damaged/,
  ],
  [
    'a key that is damaged',
    ({ cert, key }) => ({ cert, key: key.replace(/\n[\w+/]{20}/, `\n${'A'.repeat(20)}`) }),
    /tls\.key/,
  ],
  ['unknown ciphers', () => ({ ciphers: 'FOO' }), /tls\.ciphers names no cipher/],
  ['ciphers that are none', () => ({ ciphers: 5 }), /tls\.ciphers must be a string/],
  [
    'an unknown version',
    () => ({ minVersion: 'TLSv1.9' }),
    /tls\.minVersion .*TLSv1\.3.*"TLSv1\.9"/,
  ],
  ['an unknown last version', () => ({ maxVersion: '1.2' }), /tls\.maxVersion .*"1\.2"/],
  [
    'versions that exclude each other',
    () => ({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }),
    /tls\.minVersion \(TLSv1\.3\) is above tls\.maxVersion \(TLSv1\.2\)/,
  ],
  ['an unknown curve', () => ({ ecdhCurve: 'foo' }), /tls: .*curve/],
  ['unknown signatures', () => ({ sigalgs: 'foo' }), /tls\.sigalgs/],
  ['a CRL that is none', () => ({ crl: 'x' }), /tls: .*CRL/],
  ['an unknown protocol', () => ({ secureProtocol: 'TLSv9_method' }), /tls: .*TLSv9_method/],
  ['a word for a flag', () => ({ rejectUnauthorized: 'false' }), /rejectUnauthorized must be true/],
  ['a name that is none', () => ({ servername: 5 }), /tls\.servername must be a string/],
  ['a check that is none', () => ({ checkServerIdentity: true }), /must be a function/],
  ['protocols that are none', () => ({ ALPNProtocols: 'mqtt' }), /tls\.ALPNProtocols must be/],
  ['an empty protocol', () => ({ ALPNProtocols: [''] }), /tls\.ALPNProtocols must be/],
  ['an array', () => [], /tls must be an object/],
]

describe.each(broken)('[N2] [T6] TLS settings that cannot work: %s', (_, settings, says) => {
  test('at the door: a UsageError that names the setting and no secret', async () => {
    const options = { url, tls: settings(files) }
    expect(() => eventloop(options)).toThrow(UsageError)
    expect(() => eventloop(options)).toThrow(says)
    expect(() => eventloop(options)).not.toThrow(/s3cret|53373|BEGIN [A-Z]+ ?[A-Z]* KEY/)
    await expect(connect(options)).rejects.toThrow(UsageError)
  })

  test('from connectOptions: the loop ends with it and dials nothing', async () => {
    let asked = 0
    const connectOptions = () => {
      asked++
      return { tls: settings(files) }
    }
    const reconnect = { when: 'always', retryable: () => true } as const
    const started = startLoop({ connectOptions, reconnect })
    await started.clock.advance(60_000)
    expect(started.error).toBeInstanceOf(UsageError)
    expect((started.error as Error).message).toMatch(says)
    expect(asked).toBe(1)
    expect(started.server.dials).toEqual([])
  })
})

test('[N2] any wrong passphrase is known for one, also if the bytes look decrypted', () => {
  const { cert, encryptedKey: key } = files
  for (let i = 0; i < 1000; i++) {
    const problem = tlsProblem({ cert, key, passphrase: `wrong ${i}` })
    expect(problem).toMatch(/tls\.passphrase does not fit tls\.key/)
  }
})

const working: readonly (readonly [name: string, tls: Settings])[] = [
  ['nothing', () => ({})],
  ['an authority', ({ ca }) => ({ ca })],
  ['authorities as one text', ({ ca }) => ({ ca: `# comment\n${ca}\n\n${ca}` })],
  ['authorities as a list', ({ ca }) => ({ ca: [ca, Buffer.from(ca)] })],
  ['lines that end in CR LF', ({ ca }) => ({ ca: ca.replace(/\n/g, '\r\n') })],
  ['a certificate and its key', ({ cert, key }) => ({ cert, key })],
  ['both in one file', ({ cert, key }) => ({ cert: cert + key, key: cert + key })],
  [
    'bytes',
    ({ cert, key }) => ({ cert: Buffer.from(cert), key: new Uint8Array(Buffer.from(key)) }),
  ],
  ['a chain', ({ cert, key, ca }) => ({ cert: cert + ca, key })],
  [
    'an encrypted key',
    ({ cert, encryptedKey }) => ({ cert, key: encryptedKey, passphrase: 'secret' }),
  ],
  [
    'an encrypted key with its own passphrase',
    ({ cert, encryptedKey }) => ({ cert, key: [{ pem: encryptedKey, passphrase: 'secret' }] }),
  ],
  [
    'two pairs, in any order',
    ({ cert, key, rsaCert, rsaKey }) => ({ cert: [cert, rsaCert], key: [rsaKey, key] }),
  ],
  ['protocols as bytes', () => ({ ALPNProtocols: Buffer.from('\x04mqtt') })],
  ['a name beyond ASCII', () => ({ servername: 'münchen.example' })],
  ['PKCS#12', ({ pfx }) => ({ pfx, passphrase: 'secret' })],
  ['a context of the user', () => ({ secureContext: createSecureContext() })],
  ['versions', () => ({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' })],
  ['protocols', () => ({ ALPNProtocols: ['mqtt'], servername: 'a', rejectUnauthorized: false })],
  ['fields that are undefined', () => ({ ca: undefined, cert: undefined, key: undefined })],
]

test.each(working)('TLS settings that work: %s', (_, settings) => {
  expect(() => eventloop({ url, tls: settings(files) })).not.toThrow()
})

test('an object that was changed is checked again', () => {
  const tls: { ca?: string } = { ca: files.ca }
  expect(tlsProblem(tls)).toBeNull()
  expect(tlsProblem(tls)).toBeNull()
  tls.ca = 'x'
  expect(tlsProblem(tls)).toMatch(/tls\.ca/)
})
