/**
 * What becomes of settings that name files? Secrets are read, modules with hooks are loaded, and
 * the rest becomes the options of a bus. Paths count from the folder of the configuration.
 */
import { importFile, pathBeside, readFileText } from '#host'
import { bytes, json, text } from '../../client/index.ts'
import type { BusOptions } from '../bus-types.ts'
import type { BusHooks } from '../hook-types.ts'
import type { ConfigCheck, ConfigPath } from './check-config.ts'

const SECRET_BYTES_MAX = 65_536
/** What the files of the setting `tls` are to the client. */
const TLS_FILES = {
  caFile: 'ca',
  certFile: 'cert',
  keyFile: 'key',
  passphraseFile: 'passphrase',
} as const

const CODECS: Readonly<Record<string, unknown>> = { json, text, bytes }

type Table = Readonly<Record<string, unknown>>

interface ConfigPlace {
  readonly file: string | null
  readonly isRemote: boolean
}

export class ConfigFiles {
  readonly #place: ConfigPlace
  readonly #check: ConfigCheck

  /** @param check is told what is wrong. */
  constructor(place: ConfigPlace, check: ConfigCheck) {
    this.#place = place
    this.#check = check
  }

  /** @param settings checked, but what they name is not. */
  async busOptions(settings: Table): Promise<BusOptions> {
    const { client, apis = {}, hooks = [], ...rest } = settings
    const { default: common = {}, ...others } = apis as Readonly<Record<string, Table>>
    const named = Object.entries(others).map(([name, api]) => [name, withCodec(api)] as const)
    const loaded: BusHooks[] = []
    for (const [i, hook] of (hooks as readonly Table[]).entries()) {
      const made = await this.#hooks(hook, ['hooks', i, 'module'])
      if (made !== null) loaded.push(made)
    }
    const options: Table = {
      ...{ ...rest, ...withCodec(common) },
      client: client === undefined ? undefined : await this.#client(client as Table),
      ...(named.length === 0 ? {} : { apis: Object.fromEntries(named) }),
      ...(loaded.length === 0 ? {} : { hooks: loaded }),
    }
    return options as unknown as BusOptions
  }

  async #client({ passwordFile, tls, ...rest }: Table): Promise<Table> {
    if (passwordFile !== undefined && rest['password'] !== undefined) {
      const path = ['client', 'passwordFile']
      this.#check.faults.push({ path, message: 'and password are both given; leave one out' })
    }
    const text = await this.#secret(passwordFile, ['client', 'passwordFile'])
    const password = text === null ? {} : { password: text.replace(/\r?\n[\s\S]*$/, '') }
    if (tls === undefined) return { ...rest, ...password }
    const given = new Map(Object.entries(tls as Table))
    for (const [setting, option] of Object.entries(TLS_FILES)) {
      const pem = await this.#secret(given.get(setting), ['client', 'tls', setting])
      given.delete(setting)
      if (pem !== null) given.set(option, option === 'passphrase' ? pem.trimEnd() : pem)
    }
    return { ...rest, ...password, tls: Object.fromEntries(given) }
  }

  async #secret(setting: unknown, at: ConfigPath): Promise<string | null> {
    if (setting === undefined) return null
    const path = this.#pathOf(setting as string, at)
    if (path === null) return null
    return this.#tried(at, 'cannot be read', async () => {
      const text = await readFileText(path, SECRET_BYTES_MAX)
      if (text === null) throw new Error(`it has more than ${SECRET_BYTES_MAX} bytes`)
      return text
    })
  }

  async #hooks({ module, options, enabled }: Table, at: ConfigPath): Promise<BusHooks | null> {
    if (enabled === false) return null
    const path = this.#pathOf(module as string, at)
    if (path === null) return null
    const exported = await this.#tried(at, 'cannot be loaded', () => importFile(path))
    if (exported === null) return null
    const make = exported['hooks']
    if (typeof make === 'function') {
      const made = await this.#tried(at, 'has a function hooks() that failed', async () => [
        await make(options),
      ])
      if (made === null) return null
      if (typeof made[0] === 'object' && made[0] !== null) return made[0]
    }
    const message = 'must export a function hooks(options) that returns hooks'
    this.#check.faults.push({ path: at, message })
    return null
  }

  /** @returns null if a file of this name cannot be meant. */
  #pathOf(name: string, at: ConfigPath): string | null {
    const refused = (message: string) => {
      this.#check.faults.push({ path: at, message })
      return null
    }
    if (this.#place.isRemote) {
      return refused('names a file of this machine, which a configuration of the network may not')
    }
    const path = pathBeside(this.#place.file, name)
    return path ?? refused('must be an absolute path: the configuration is in no file')
  }

  async #tried<T>(at: ConfigPath, what: string, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      const why = error instanceof Error ? error.message : 'something that is no Error was thrown'
      this.#check.faults.push({ path: at, message: `${what}: ${why}` })
      return null
    }
  }
}

/** @returns settings with the codec in the place of its name. */
function withCodec(settings: Table): Table {
  const { codec } = settings
  return codec === undefined ? settings : { ...settings, codec: CODECS[codec as string] }
}
