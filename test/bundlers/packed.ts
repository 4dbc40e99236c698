/**
 * The package as its users have it, packed and installed, and the tools that are installed beside
 * it for the time of a run.
 */
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { finish } from '../support/process.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAMS = fileURLToPath(new URL('./programs', import.meta.url))
const HANG_MS = 300_000
const FLAGS = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
const OFFLINE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/

/** Something that is needed is not there: the step did not run, which is no failure by itself. */
export class NotRun extends Error {}

/** @returns what a command printed. It throws if the command fails or does not end. */
export async function output(command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await finish(command, args, HANG_MS)
  if (code === 0) return stdout
  const how = code === null ? `did not end within ${HANG_MS / 1000} s` : `ended with ${code}`
  throw new Error(`${command} ${args.join(' ')} ${how}\n${stdout}${stderr}`)
}

/** The same in a folder: some tools look for what they need from there. */
export function outputIn(folder: string, ...command: readonly string[]): Promise<string> {
  return output('sh', '-c', 'cd "$1" && shift && "$@"', 'sh', folder, ...command)
}

/** Packs this package, and installs it in a folder with the programs that are bundled. */
export async function installPackage(home: string): Promise<void> {
  const packed = await output('npm', 'pack', ROOT, '--json', '--pack-destination', home)
  // The build prints before the JSON.
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('[\n')))
  writeFileSync(join(home, 'package.json'), '{ "private": true, "type": "module" }\n')
  cpSync(PROGRAMS, home, { recursive: true })
  await install(home, join(home, filename))
}

/** @throws NotRun if the registry cannot be reached. */
export async function install(home: string, ...packages: readonly string[]): Promise<void> {
  try {
    await output('npm', 'install', '--prefix', home, ...FLAGS, ...packages)
  } catch (error) {
    const { message } = error as Error
    if (!OFFLINE.test(message)) throw error
    throw new NotRun(`no network: ${packages.join(', ')} cannot be installed`)
  }
}

/** @returns the path of a command of a package that was installed. */
export const commandOf = (home: string, name: string): string =>
  join(home, 'node_modules', '.bin', name)
