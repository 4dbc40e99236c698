import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cli, scratch } from './support.ts'

/** @returns what bash offers behind these words. */
function offered(script: string, words: readonly string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(' ')
  const line = `source '${script}'; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}`
  const { stdout } = spawnSync('bash', ['-c', `${line}; _it_mqtt; echo "\${COMPREPLY[@]}"`])
  return stdout.toString().trim().split(' ')
}

describe('[CLI] completion', { timeout: 60_000 }, () => {
  test('[CLI] completion: bash offers commands, options and values', async () => {
    const { status, stdout } = await cli(['completion', 'bash'])
    expect(status).toBe(0)
    const script = join(await scratch(), 'it-mqtt.bash')
    await writeFile(script, stdout)
    expect(offered(script, ['it-mqtt', 'p'])).toEqual(['pub', 'pipe'])
    expect(offered(script, ['it-mqtt', 'sub', '--reta'])).toEqual([
      ...['--retained-only', '--retain-as-published'],
    ])
    expect(offered(script, ['it-mqtt', 'retained', 'r'])).toEqual(['restore', 'remove'])
    expect(offered(script, ['it-mqtt', 'retained', 'remove', '--dry'])).toEqual(['--dry-run'])
    expect(offered(script, ['it-mqtt', 'pub', '-q', ''])).toEqual(['0', '1', '2'])
    expect(offered(script, ['it-mqtt', 'completion', 'z'])).toEqual(['zsh'])
  })

  test('[CLI] completion: the scripts for zsh and fish have no mistake in their grammar', async () => {
    for (const shell of ['zsh', 'fish']) {
      const { status, stdout } = await cli(['completion', shell])
      expect(status).toBe(0)
      expect(stdout).toContain('retained-only')
      const script = join(await scratch(), shell)
      await writeFile(script, stdout)
      const checked = spawnSync(shell, ['-n', script])
      if (checked.error === undefined) expect(checked.status, String(checked.stderr)).toBe(0)
      else console.log(`not run, ${shell} is not installed: the check of its script`)
    }
  })

  test('[CLI] help: a command, the exit codes, and what mosquitto users look for', async () => {
    const pages = await Promise.all(
      [['rr'], ['exit-codes'], ['mosquitto'], ['retained', 'save'], ['nothing']].map((words) =>
        cli(['help', ...words]),
      ),
    )
    expect(pages.map(({ status }) => status)).toEqual([0, 0, 0, 0, 2])
    const parts = ['--response-topic', '27', '-T, --filter-out', '--output', '']
    for (const [index, part] of parts.entries()) expect(pages[index]?.stdout).toContain(part)
    expect(pages[4]?.stderr).toContain('exit-codes')
  })
})
