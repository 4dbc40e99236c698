/**
 * Which flags set TLS, and what do they mean to Node? They have the names of the mosquitto clients.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkServerIdentity, type SecureVersion } from 'node:tls'
import { Option } from 'commander'
import { type EventloopOptions, UsageError } from '../index.ts'

export interface TlsFlags {
  readonly cafile?: string
  readonly capath?: string
  readonly tlsUseOsCerts?: boolean
  readonly cert?: string
  readonly key?: string
  readonly keyPasswordFile?: string
  readonly keyform?: string
  readonly insecure?: boolean
  readonly ciphers?: string
  readonly tlsVersion?: string
  readonly tlsAlpn?: string
  readonly psk?: string
  readonly pskIdentity?: string
}

type TlsSettings = NonNullable<EventloopOptions['tls']>

const TLS_VERSIONS: Readonly<Record<string, SecureVersion>> = {
  'tlsv1.3': 'TLSv1.3',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.1': 'TLSv1.1',
}

/** Where systems keep the certificates that they trust, in one file. */
const SYSTEM_FILES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** The ciphers that a connection with a pre-shared key can have; Node offers none by itself. */
const PSK_CIPHERS = 'PSK'

export function tlsOptions(): Option[] {
  return [
    new Option('--cafile <file>', 'certificates to trust, in PEM'),
    new Option('--capath <directory>', 'trust the certificates of all files in this directory'),
    new Option('--tls-use-os-certs', 'trust the certificates that this system trusts'),
    new Option('--cert <file>', 'certificate of this client, in PEM'),
    new Option('--key <file>', 'key of that certificate, in PEM'),
    new Option('--key-password-file <file>', 'the passphrase of that key is in this file'),
    new Option('--keyform <form>', 'the form of --key').choices(['pem']),
    new Option(
      '--insecure',
      'do not compare the host with the name in the certificate; without --cafile, --capath and ' +
        '--tls-use-os-certs, verify nothing',
    ),
    new Option('--ciphers <list>', 'the ciphers to offer, as OpenSSL names them'),
    new Option('--tls-version <version>', 'this version of TLS and no other').choices(
      Object.keys(TLS_VERSIONS),
    ),
    new Option('--tls-alpn <protocol>', 'the protocol to ask for (ALPN)'),
    new Option('--psk <hex>', 'a pre-shared key, in hexadecimal digits'),
    new Option('--psk-identity <name>', 'the name of that key'),
  ]
}

/** @returns the name of a flag for TLS that was given, or undefined. */
export function tlsFlagOf(flags: TlsFlags): string | undefined {
  const names: Readonly<Record<keyof TlsFlags, string>> = {
    ...{ cafile: '--cafile', capath: '--capath', tlsUseOsCerts: '--tls-use-os-certs' },
    ...{ cert: '--cert', key: '--key', keyPasswordFile: '--key-password-file' },
    ...{ keyform: '--keyform', insecure: '--insecure', ciphers: '--ciphers' },
    ...{ tlsVersion: '--tls-version', tlsAlpn: '--tls-alpn' },
    ...{ psk: '--psk', pskIdentity: '--psk-identity' },
  }
  const given = Object.keys(names) as (keyof TlsFlags)[]
  const name = given.find((one) => flags[one] !== undefined && flags[one] !== false)
  return name === undefined ? undefined : names[name]
}

/** @returns the option `tls` of a loop, or undefined if no flag asks for anything. */
export function tlsOf(flags: TlsFlags, url: string): EventloopOptions['tls'] {
  const name = tlsFlagOf(flags)
  if (name === undefined) return undefined
  if (/^(mqtt|tcp|unix|ws):/i.test(url)) {
    throw new UsageError(
      `${name} needs a connection with TLS; use a URL that begins with mqtts:// or wss://`,
    )
  }
  const { cert, key, keyPasswordFile, ciphers, tlsVersion, tlsAlpn } = flags
  const version = tlsVersion === undefined ? undefined : TLS_VERSIONS[tlsVersion]
  const isPsk = flags.psk !== undefined
  return {
    ...trustOf(flags),
    ...(cert === undefined ? {} : { cert: fileOf('--cert', cert) }),
    ...(key === undefined ? {} : { key: fileOf('--key', key) }),
    ...(keyPasswordFile === undefined
      ? {}
      : { passphrase: secretOf('--key-password-file', keyPasswordFile) }),
    ...(ciphers === undefined && !isPsk ? {} : { ciphers: ciphers ?? PSK_CIPHERS }),
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    ...(tlsAlpn === undefined ? {} : { ALPNProtocols: [tlsAlpn] }),
    ...pskOf(flags),
  }
}

function trustOf(flags: TlsFlags): TlsSettings {
  const { cafile, capath, tlsUseOsCerts, insecure } = flags
  const ca = [
    ...(cafile === undefined ? [] : [fileOf('--cafile', cafile)]),
    ...(capath === undefined ? [] : certificatesIn(capath)),
    ...(tlsUseOsCerts ? [systemCertificates()] : []),
  ]
  if (ca.length === 0) return insecure ? { rejectUnauthorized: false } : {}
  return { ca, ...(insecure ? { checkServerIdentity: () => undefined } : {}) }
}

function certificatesIn(directory: string): Buffer[] {
  let names: string[]
  try {
    names = readdirSync(directory).map((name) => join(directory, name))
  } catch (error) {
    throw new UsageError(`--capath: ${(error as Error).message}`, { cause: error })
  }
  const found = names
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile())
    .map((path) => fileOf('--capath', path))
    .filter((bytes) => bytes.includes('-----BEGIN CERTIFICATE-----'))
  if (found.length > 0) return found
  throw new UsageError(`--capath: no file in ${directory} is a certificate in PEM`)
}

function systemCertificates(): Buffer {
  const { SSL_CERT_FILE } = process.env
  for (const path of [...(SSL_CERT_FILE ? [SSL_CERT_FILE] : []), ...SYSTEM_FILES]) {
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return fileOf('the system', path)
  }
  throw new UsageError(
    `--tls-use-os-certs: none of ${SYSTEM_FILES.join(', ')} exists; give the file with --cafile`,
  )
}

function pskOf({ psk, pskIdentity, cafile, capath }: TlsFlags): TlsSettings {
  if (psk === undefined && pskIdentity === undefined) return {}
  if (psk === undefined || pskIdentity === undefined) {
    throw new UsageError('--psk and --psk-identity need each other')
  }
  if (cafile !== undefined || capath !== undefined) {
    throw new UsageError('--psk is for servers without certificate: leave out --cafile, --capath')
  }
  if (!/^(?:[0-9a-f]{2})+$/i.test(psk)) {
    throw new UsageError('--psk: pairs of hexadecimal digits are expected, without 0x')
  }
  const key = Buffer.from(psk, 'hex')
  // Node's ciphers with a pre-shared key belong to TLS 1.2 and older. Such a server shows no
  // certificate, so that there is no name to compare.
  return {
    pskCallback: () => ({ psk: key, identity: pskIdentity }),
    checkServerIdentity: (host, certificate) =>
      Object.keys(certificate).length === 0 ? undefined : checkServerIdentity(host, certificate),
    maxVersion: 'TLSv1.2',
  }
}

/** @returns the bytes of a file that a flag names. */
export function fileOf(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new UsageError(`${flag}: ${(error as Error).message}`, { cause: error })
  }
}

/** @returns the text of a file with a password, without the line end behind it. */
export function secretOf(flag: string, path: string): string {
  return fileOf(flag, path)
    .toString()
    .replace(/\r?\n$/, '')
}
