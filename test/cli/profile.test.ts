/**
 * Goal: a profile gives what the command line leaves open, and no password is ever shown. Method:
 * the parser with a configuration file, and a few processes before a server that writes down who
 * connects.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { prepareArguments } from '../../src/cli/arguments.ts'
import { configText } from '../../src/cli/config-text.ts'
import { connectionOptions } from '../../src/cli/flags.ts'
import { programFor } from '../../src/cli/program.ts'
import { broker, cli, credentials, run, scratch, until } from './support.ts'

/** The file that the help shows. */
const EXAMPLE_CONFIG = configText()
  .match(/^ {4}.*$/gm)!
  .join('\n')

const CONFIG = `
[default]
host = "fallback"
qos = 2
[plant]
url = "mqtts://plant"
username = "anna"
password-file = "secret"
cafile = "ca.pem"
qos = 1
retain = true
idle = 5
[typo]
usrname = "anna"
[wrong]
qos = 7
[kind]
retain = "yes"
[socket]
unix = "/run/mqtt"
[local]
host = "local"
[topic]
L = "mqtt://h:1/a"
[six]
url = "wss://me:x@[::1]:9/path?q"
[many]
property = ["publish content-type text/x", "subscribe user-property a b c"]
[no]
no-local = true
[inside]
profile = "plant"
`

/** @returns the flags of a command line, as the command gets them. */
async function flagsOf(
  line: string,
  config = CONFIG,
  url?: string,
): Promise<Record<string, unknown>> {
  vi.stubEnv('IT_MQTT_URL', url)
  onTestFinished(() => void vi.unstubAllEnvs())
  const folder = await scratch()
  await writeFile(join(folder, 'config.toml'), config)
  await writeFile(join(folder, 'secret'), 'xyzzy\n')
  const words = [...line.split(' '), '--config', join(folder, 'config.toml')]
  const program = await programFor(words)
  // Only the parsing is of interest: no command runs.
  for (const command of program.commands) command.action(() => {})
  await program.parseAsync(prepareArguments(words, program), { from: 'user' })
  const name = line.split(' ').find((word) => ['pub', 'sub'].includes(word))
  return program.commands.find((one) => one.name() === name)!.opts()
}

describe('[CLI] profiles', () => {
  test('the one that is named gives options, paths count from its folder', async () => {
    const flags = await flagsOf('-c plant pub a b')
    expect(flags).toMatchObject({
      ...{ url: 'mqtts://plant', username: 'anna', password: 'xyzzy', qos: '1', retain: true },
    })
    expect(flags['cafile']).toMatch(/^\/.*\/ca\.pem$/)
  })

  test('the command line wins, and its server replaces that of the profile', async () => {
    const flags = await flagsOf('-c plant pub -h other -q 0 -u ben a b')
    expect(flags).toMatchObject({ host: 'other', qos: '0', username: 'ben' })
    expect(flags['url']).toBeUndefined()
  })

  test('without a name it is the default, and without a default nothing', async () => {
    expect(await flagsOf('sub a')).toMatchObject({ host: 'fallback', qos: '2' })
    expect((await flagsOf('sub a', '[plant]\nqos = 1\n'))['qos']).toBeUndefined()
  })

  test('an option of another command, which is not loaded, does no harm', async () => {
    const config = '[default]\nretain = true\nqos = 1\n'
    expect(await flagsOf('sub a', config)).toMatchObject({ qos: '1' })
    await expect(flagsOf('sub a', '[default]\nretian = true\n')).rejects.toThrow('--retian')
  })

  test.each([
    ['-c nobody sub a', /\[nobody\].*default, plant/],
    ['-c typo sub a', /usrname/],
    ['-c wrong sub a', /\[wrong\] qos: .*0, 1, 2/],
    ['-c kind pub a b', /\[kind\] retain: true or false/],
    ['-c inside sub a', /no command has an option --profile/],
  ])('%s is refused', async (line, message) => {
    await expect(flagsOf(line)).rejects.toThrow(message)
  })

  test.each([
    ['-c plant sub -p 21999 a', undefined, { url: 'mqtts://plant:21999', port: undefined }],
    ['-c six sub -p 21999 a', undefined, { url: 'wss://me:x@[::1]:21999/path?q' }],
    ['-c topic sub -p 21999', undefined, { L: 'mqtt://h:21999/a', port: undefined }],
    ['-c local sub -p 21999 a', 'mqtt://env', { host: 'local', port: 21999, url: undefined }],
    ['sub -p 21999 a', 'mqtt://env:1', { url: 'mqtt://env:21999' }],
    ['sub -h other -p 21999 a', 'mqtt://env:1', { host: 'other', port: 21999, url: undefined }],
  ])('[CLI] P13: %s with IT_MQTT_URL %s: -p alone is a port', async (line, url, flags) => {
    expect(await flagsOf(line, CONFIG, url)).toMatchObject(flags)
  })

  test('[CLI] P13: -p beside a URL of the environment without a port is refused', async () => {
    await expect(flagsOf('sub -p 1 a', '', 'unix:/x')).rejects.toThrow(/-p: .* has no port/)
    const flags = await flagsOf('-c socket sub -p 1 a')
    expect(() => connectionOptions(flags as never, null)).toThrow('-p has no effect beside --unix')
  })

  test('[CLI] P13: an option above the first profile is refused, and not passed over', async () => {
    const attempt = flagsOf('sub a', 'url = "mqtt://me:xyzzy@h"\n[plant]\nqos = 1\n')
    await expect(attempt).rejects.toThrow(/config\.toml: url is in no profile; .*\[default\]/)
    await expect(attempt).rejects.not.toThrow('xyzzy')
    await expect(flagsOf('sub a', '[[plant]]\nqos = 1\n')).rejects.toThrow('plant is in no profile')
  })

  test('[CLI] a profile gives -D to the commands that send the packet, and --no-local', async () => {
    const property = async (line: string) => (await flagsOf(line))['property']
    expect(await property('-c many pub a b')).toEqual(['["publish","content-type","text/x"]'])
    expect(await property('-c many sub a')).toEqual(['["subscribe","user-property","a","b c"]'])
    expect(await flagsOf('-c no sub a')).toMatchObject({ local: false })
  })

  test('[CLI] the example of help config is a configuration file', async () => {
    expect(
      await flagsOf('-c plant sub a', EXAMPLE_CONFIG.replace(/password-file.*/, '')),
    ).toMatchObject({
      url: 'mqtts://plant.example',
      qos: '1',
      property: ['["connect","receive-maximum","100"]'],
    })
    expect(await flagsOf('sub a', EXAMPLE_CONFIG)).toMatchObject({ url: 'mqtt://localhost' })
  })

  test('a file that is no TOML is refused, and its text is not shown', async () => {
    const attempt = flagsOf('sub a', '[plant]\npassword = "xyzzy\n')
    await expect(attempt).rejects.toThrow(/config\.toml:2:\d+: this is not valid TOML/)
    await expect(attempt).rejects.not.toThrow('xyzzy')
  })
})

describe('[CLI] passwords', { timeout: 60_000 }, () => {
  async function listening() {
    const { url, broker: server } = await broker()
    return { url, seen: () => credentials(server) }
  }

  test('a password comes from a profile, a file or the environment', async () => {
    const { url, seen } = await listening()
    const folder = await scratch()
    await mkdir(join(folder, 'it-mqtt'))
    await writeFile(join(folder, 'secret'), 'from a file\n')
    const config = `[me]\nusername = "c"\npassword = "from a profile"\nurl = "${url}"\n`
    await writeFile(join(folder, 'it-mqtt', 'config.toml'), config, { mode: 0o600 })
    const env = { XDG_CONFIG_HOME: folder }
    const file = ['--password-file', join(folder, 'secret')]
    const ended = await Promise.all([
      cli(['pub', url, 'a', 'b', '-u', 'a', ...file], '', env),
      cli(['pub', url, 'a', 'b', '-u', 'b'], '', { ...env, IT_MQTT_PASSWORD: 'from a variable' }),
      cli(['-c', 'me', 'pub', 'a', 'b'], '', env),
    ])
    expect(ended).toEqual(ended.map(() => ({ status: 0, stdout: '', stderr: '' })))
    const expected = ['a from a file', 'b from a variable', 'c from a profile']
    expect([...new Set(seen())].sort()).toEqual(expected)
  })

  test('--ask-password asks at the terminal and does not show what is typed', async (context) => {
    if (spawnSync('script', ['--version']).error !== undefined) {
      return context.skip('script (util-linux) is not installed: not run')
    }
    const { url, seen } = await listening()
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
    const command = `'${process.execPath}' --import tsx '${main}' pub ${url} a b -u me --ask-password`
    const running = run('script', ['-qec', command, '/dev/null'])
    await until(() => running.stdout().includes('Password: '))
    running.process.stdin?.write('xyzzx\u007fy\r')
    const { status, stdout } = await running.ended
    expect(status).toBe(0)
    expect(stdout).not.toContain('xyzz')
    expect([...new Set(seen())]).toEqual(['me xyzzy'])
  })

  test('--ask-password without a terminal is refused', async (context) => {
    if (spawnSync('setsid', ['--version']).error !== undefined) {
      return context.skip('setsid (util-linux) is not installed: not run')
    }
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
    const words = ['--import', 'tsx', main, 'pub', 'mqtt://127.0.0.1:1', 'a', 'b', '--ask-password']
    expect(() =>
      execFileSync('setsid', ['-w', process.execPath, ...words], { stdio: 'pipe' }),
    ).toThrow('--password-file')
  })
})
