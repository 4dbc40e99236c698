import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cli, scratch } from './support.ts'

type Shell = 'bash' | 'zsh' | 'fish'

/** How each shell is asked what it offers behind these words, one offer in each line. */
const ASK: Record<Shell, (script: string, words: readonly string[]) => string> = {
  bash: (script, words) =>
    `source '${script}'; COMP_WORDS=(${quoted(words)}); COMP_CWORD=${words.length - 1}
     _it_mqtt; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // What the completion system of zsh defines is only there in an interactive shell.
  zsh: (script, words) =>
    `compdef() {}; compadd() { shift; print -l -- "$@" }; _describe() { print -l -- \${(P)2} }
     source '${script}'; words=(${quoted(words)}); CURRENT=\${#words}; _it_mqtt`,
  fish: (script, words) => `source '${script}'; complete -C '${words.join(' ')}'`,
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ')
}

/** @returns what the shell offers behind these words, or null if the shell is not installed. */
function offered(
  shell: Shell,
  script: string,
  words: readonly string[],
  folder: string,
): string[] | null {
  const env = { ...process.env, XDG_CONFIG_HOME: folder }
  const { stdout, error } = spawnSync(shell, ['-c', ASK[shell](script, words)], { env })
  if (error !== undefined) return null
  const offers = stdout.toString().trim().split('\n')
  const last = words.at(-1) ?? ''
  // zsh and fish add what a word is for, and zsh selects what fits later.
  return offers.map((offer) => offer.split(/[:\t]/)[0] ?? '').filter((it) => it.startsWith(last))
}

describe('[CLI] completion', { timeout: 60_000 }, () => {
  test.each(['bash', 'zsh', 'fish'] as const)(
    '[CLI] completion: %s offers commands, options and values',
    async (shell) => {
      const { status, stdout } = await cli(['completion', shell])
      expect(status).toBe(0)
      const folder = await scratch()
      const script = join(folder, `it-mqtt.${shell}`)
      await mkdir(join(folder, 'it-mqtt'))
      const config = '[plant]\nurl = "mqtt://h"\n  [pilot] # a comment\n[other]\n'
      await writeFile(join(folder, 'it-mqtt', 'config.toml'), config)
      await writeFile(script, stdout)
      const table: [words: string[], offers: string[]][] = [
        [['p'], ['pipe', 'presence', 'pub']],
        [
          ['sub', '--reta'],
          ['--retain-as-published', '--retain-handling', '--retained-only'],
        ],
        [
          ['retained', 'r'],
          ['remove', 'restore'],
        ],
        [['retained', 'remove', '--dry'], ['--dry-run']],
        [
          ['pub', '-q', ''],
          ['0', '1', '2'],
        ],
        [['completion', 'z'], ['zsh']],
        [
          ['-c', 'p'],
          ['pilot', 'plant'],
        ],
        [
          ['sub', '--profile', 'p'],
          ['pilot', 'plant'],
        ],
      ]
      for (const [words, expected] of table) {
        const offers = offered(shell, script, ['it-mqtt', ...words], folder)
        if (offers === null) return notRun(shell)
        expect(offers.sort(), words.join(' ')).toEqual(expected)
      }
    },
  )

  test('[CLI] help: a command, the exit codes, and what mosquitto users look for', async () => {
    const pages = await Promise.all(
      [['rr'], ['exit-codes'], ['mosquitto'], ['retained', 'save'], ['config'], ['nothing']].map(
        (words) => cli(['help', ...words]),
      ),
    )
    expect(pages.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0, 2])
    const parts = ['Examples:', '27', '-T, --filter-out', '--output', '[plant]', '']
    for (const [index, part] of parts.entries()) expect(pages[index]?.stdout).toContain(part)
    expect(pages[5]?.stderr).toContain('exit-codes')
  })
})

function notRun(shell: string): void {
  if (process.env.IT_MQTT_REQUIRE_BROKERS) throw new Error(`${shell} is not installed`)
  console.log(`not run, ${shell} is not installed: the check of its script`)
}
