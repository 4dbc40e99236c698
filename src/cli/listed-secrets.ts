/**
 * Can other users of this machine see a password of the command line in the list of processes?
 *
 * Setting the title of the process removes its words there (main.ts), in Node and in Deno. Bun
 * keeps the title to itself. There a command with a password in its words ends before it does
 * anything, instead of showing the password for as long as it runs.
 */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { UsageError } from '../index.ts'

/** What `ps` reads on Linux. */
const OWN_WORDS = '/proc/self/cmdline'

const OTHER_WAYS =
  'give it with --password-file (/dev/stdin is one), with --ask-password, in IT_MQTT_PASSWORD or ' +
  'in a profile'

/** The options whose value is a secret or may hold one, with how to give it otherwise. */
const SECRETS: Readonly<Record<string, readonly [flag: string, instead: string]>> = {
  password: ['-P', OTHER_WAYS],
  url: ['the URL', `${OTHER_WAYS}, or the whole URL in IT_MQTT_URL`],
  L: ['-L', OTHER_WAYS],
  proxy: ['--proxy', 'give this option in a profile'],
  psk: ['--psk', 'give this option in a profile'],
}
const URL_OPTIONS = ['url', 'L', 'proxy']

/** @throws UsageError if a secret is in a word of the command line and stays in the list. */
export function refuseListedSecrets(command: Command, isListed = isInList): void {
  for (const [name, [flag, instead]] of Object.entries(SECRETS)) {
    if (command.getOptionValueSource(name) !== 'cli') continue
    const text = String(command.getOptionValue(name))
    const secret = URL_OPTIONS.includes(name) ? passwordIn(text) : text
    if (secret === '' || !isListed(secret)) continue
    throw new UsageError(
      `${flag}: this runtime cannot remove the secret from the list of processes, where other ` +
        `users can read it; ${instead}`,
    )
  }
}

/** @returns the password of a URL as it is written there; empty without one. */
function passwordIn(url: string): string {
  const [, password = ''] = /^\w+:\/\/[^/?#]*?:([^/?#]*)@/.exec(url) ?? []
  return password
}

/** @returns whether the list of processes shows a text among the words of this process. */
function isInList(text: string): boolean {
  if (process.platform === 'linux') {
    try {
      return readFileSync(OWN_WORDS, 'utf8').includes(text)
    } catch {
      // The system has no such file, or the process may not read it.
    }
  }
  // Only of Node is it known that the title replaces the words on every system.
  return 'bun' in process.versions || 'deno' in process.versions
}
