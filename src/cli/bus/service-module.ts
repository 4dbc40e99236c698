/** Which module has the code of a service, and what does it export? */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Bus } from '../../bus/index.ts'
import { UsageError } from '../../index.ts'

/** Adds what a service does to a bus. */
export type RegisterService = (bus: Bus) => unknown

const MODULES = ['bus.ts', 'bus.mts', 'bus.js', 'bus.mjs']

/**
 * @param given the path that the command line has, if any.
 * @throws UsageError if there is no module, or it does not export `register`; what it throws.
 */
export async function serviceModule(given: string | undefined): Promise<RegisterService> {
  const path = given ?? MODULES.find((name) => existsSync(name)) ?? namedInPackage()
  if (path === undefined) {
    const places = `${MODULES.join(', ')} here, or "it-mqtt": { "bus": … } of package.json`
    throw new UsageError(`there is no module of a service: give --module, or ${places}`)
  }
  const { register } = await imported(path)
  if (typeof register === 'function') return register as RegisterService
  throw new UsageError(`${path} must export a function register(bus), which adds what it does`)
}

async function imported(path: string): Promise<Readonly<Record<string, unknown>>> {
  const whole = resolve(path)
  if (!existsSync(whole)) throw new UsageError(`there is no module ${path}`)
  try {
    return await import(pathToFileURL(whole).href)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw cause
    const remedy = 'use Node 22.18 or later, or NODE_OPTIONS="--import tsx", or compile it'
    throw new UsageError(`${path}: this Node does not load TypeScript: ${remedy}`, { cause })
  }
}

function namedInPackage(): string | undefined {
  if (!existsSync('package.json')) return undefined
  let pack: unknown
  try {
    pack = JSON.parse(readFileSync('package.json', 'utf8'))
  } catch {
    throw new UsageError('package.json is not valid JSON; give --module')
  }
  const { 'it-mqtt': named } = Object(pack) as { readonly 'it-mqtt'?: unknown }
  const { bus } = Object(named) as { readonly bus?: unknown }
  if (bus === undefined || typeof bus === 'string') return bus
  throw new UsageError('package.json: "it-mqtt": "bus" must be the path of a module')
}
