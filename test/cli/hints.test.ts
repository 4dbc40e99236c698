import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { program } from '../support/built.ts'
import { acknowledge, scripted } from './scripted.ts'
import { cli, run, scratch, start, until } from './support.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NOBODY = 'mqtt://127.0.0.1:1'

describe('[CLI] what was probably meant', { timeout: 60_000 }, () => {
  const CASES: readonly (readonly [args: string, part: string])[] = [
    ['subscribe -t a', 'subscribe is no command; did you mean sub?'],
    ['publish -t a -m x', 'did you mean pub?'],
    ['mosquitto_sub -t a', 'did you mean sub?'],
    ['pub http://h w/1 x', 'http:// is not spoken here; the server is given with -h host or'],
    ['sub https://h', 'https:// is not spoken here'],
    ['pub h w/1 x', 'The server is given with -h host or --url'],
    ['pipe - h', 'The server is given with -h host or --url'],
    ['pub -t a -m x --repeat 2 --repeat-delay 200ms', 'A number of seconds is expected: 0.2.'],
    ['sub -t a -k 5m', 'A number of seconds is expected: 300.'],
    ['pub -t a -m x --connect-timeout 5s', 'A number of milliseconds is expected: 5000.'],
    ['pub -t a -m x -k soon', 'A number of seconds is expected.'],
  ]
  test.each(CASES)('[CLI] [P13] it-mqtt %s', async (args, part) => {
    const { status, stderr } = await cli(args.split(' '))
    expect(status).toBe(2)
    expect(stderr).toMatch(/^it-mqtt: [^\n]+\n$/)
    expect(stderr).toContain(part)
  })

  test('[CLI] spool: of a spool in use it is said how to ask its process', async () => {
    const path = join(await scratch(), 'spool')
    const running = start(['pipe', '-t', 'a', '--spool', path, '--url', NOBODY])
    running.process.stdin?.write('one\n')
    await until(() => running.stderr().includes('waiting for'))
    const { pid } = running.process
    const ended = await cli(['spool', path])
    expect(ended.status).toBe(1)
    expect(ended.stderr).toContain(`kill -USR1 ${pid} makes it say how many requests are in it`)
    await until(() => {
      running.process.kill('SIGUSR1')
      return running.stderr().includes('1 in the spool')
    })
  })

  test('[CLI] retained restore: a file that is no backup sends nothing, and is status 2', async () => {
    const server = await scripted(acknowledge)
    const file = join(await scratch(), 'backup.ndjson')
    await writeFile(file, '{"cmd":"publish","topic":"a","payload":"x","qos":1}\ngarbage\n')
    const ended = await cli(['retained', 'restore', file, '--url', server.url])
    expect(ended.status).toBe(2)
    expect(ended.stderr).toMatch(/backup\.ndjson:2: no request: .* is not valid JSON/)
    expect(server.packets).toEqual([])
  })
})

test('[CLI] a command loads only what it needs', async () => {
  const server = await scripted(acknowledge)
  const args = ['pub', 'a', 'x', '--url', server.url]
  const { status, stderr } = await run(process.execPath, [...program('cli/main'), ...args], {
    NODE_DEBUG: 'esm',
    XDG_CONFIG_HOME: await scratch(),
  }).ended
  expect(status).toBe(0)
  const loaded = [...stderr.matchAll(/Storing (file:\S+)/g)].map(([, url]) => fileURLToPath(url!))
  // The tests keep the bundle itself below node_modules.
  const files = loaded.map((path) => path.replace(/.*\.cache/, ''))
  for (const unneeded of ['/node_modules/socks/', '/smol-toml/']) {
    expect(files.join('\n')).not.toContain(unneeded)
  }
  // The bundle names the file of src/ from which each part of it is.
  const parts = files.flatMap((path, i) =>
    path.includes('/dist/') && !path.includes('/node_modules/')
      ? (readFileSync(loaded[i]!, 'utf8').match(/^\/\/ src\/.*/gm) ?? [])
      : [],
  )
  expect(parts).toContain('// src/cli/pub.ts')
  for (const unneeded of [
    'disk/index.ts',
    'disk/spool/spool.ts',
    'cli/pipe.ts',
    'cli/top/live-screen.ts',
  ]) {
    expect(existsSync(join(ROOT, 'src', unneeded)), unneeded).toBe(true)
    expect(parts).not.toContain(`// src/${unneeded}`)
  }
})
