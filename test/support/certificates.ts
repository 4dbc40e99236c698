/**
 * Certificates of every kind, valid and invalid, made by openssl when a test asks: they last for
 * days, so none is kept.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Certificate {
  /** Paths of PEM files. */
  readonly cert: string
  readonly key: string
}

interface Wanted {
  /** Names as in subjectAltName: `DNS:localhost,IP:127.0.0.1`. */
  readonly names: string
  /** `YYYYMMDDHHMMSSZ`. Default: from yesterday to tomorrow. */
  readonly from?: string
  readonly to?: string
}

const DAY_MS = 86_400_000
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

async function openssl(folder: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)('openssl', [...args], { cwd: folder })
}

/** An authority that issues certificates; its clients trust `cert`. */
export class Authority {
  readonly cert: string
  readonly #folder: string
  #issued = 0
  /** The end of the latest `openssl ca`: two of them cannot write the same index. */
  #registered: Promise<void> = Promise.resolve()

  private constructor(folder: string) {
    this.#folder = folder
    this.cert = join(folder, 'ca.pem')
  }

  static async create(parent: string, name: string): Promise<Authority> {
    const folder = join(parent, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'index.txt'), '')
    writeFileSync(join(folder, 'openssl.cnf'), CONFIG)
    const subject = ['-subj', `/CN=${name}`, '-extensions', 'authority', '-days', '2']
    const files = ['-keyout', 'ca.key', '-out', 'ca.pem']
    await openssl(folder, ['req', '-config', 'openssl.cnf', '-x509', ...KEY, ...subject, ...files])
    return new Authority(folder)
  }

  get pem(): Buffer {
    return readFileSync(this.cert)
  }

  async issue({ names, from = stamp(-DAY_MS), to = stamp(DAY_MS) }: Wanted): Promise<Certificate> {
    const { key, request, cert, config } = this.#files()
    const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${names}`]
    await openssl(this.#folder, [
      ...['req', ...config, ...KEY, ...subject, '-keyout', key, '-out', request],
    ])
    const validity = ['-startdate', from, '-enddate', to]
    const files = ['-in', request, '-out', cert, '-cert', 'ca.pem', '-keyfile', 'ca.key']
    const args = ['ca', ...config, '-batch', '-notext', ...validity, ...files]
    const registering = this.#registered.then(() => openssl(this.#folder, args))
    this.#registered = registering.catch(() => {})
    await registering
    return { cert, key }
  }

  /** A certificate that is signed by itself only. */
  async selfSigned({ names }: Wanted): Promise<Certificate> {
    const { key, cert, config } = this.#files()
    const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${names}`, '-days', '2']
    await openssl(this.#folder, [
      ...['req', ...config, '-x509', ...KEY, ...subject, '-keyout', key, '-out', cert],
    ])
    return { cert, key }
  }

  #files() {
    const base = join(this.#folder, String(this.#issued++))
    const config = ['-config', 'openssl.cnf']
    return { key: `${base}.key`, request: `${base}.csr`, cert: `${base}.pem`, config }
  }
}

function stamp(offsetMs: number): string {
  const digits = new Date(Date.now() + offsetMs).toISOString().replace(/\D/g, '')
  return `${digits.slice(0, 14)}Z`
}

const CONFIG = `
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = empty
[empty]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`
