import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { acknowledge, scripted } from './scripted.ts'
import { broker, cli, listen, refusing, scratch, start, until } from './support.ts'

const tls = (name: string) => readFileSync(fileURLToPath(new URL(`./tls/${name}`, import.meta.url)))
const NOBODY = 'mqtt://127.0.0.1:1'

/** Servers with which there is no connection, and the exit status for it. */
const AWAY: readonly (readonly [name: string, status: number, url: () => Promise<string>])[] = [
  ['a server that is away', 1, async () => NOBODY],
  [
    'a password that is refused',
    4,
    async () => {
      const { url } = await broker(refusing(0x86))
      return url
    },
  ],
  [
    'a certificate that is not trusted',
    1,
    async () => {
      const server = createTlsServer({ key: tls('server.key'), cert: tls('server.pem') })
      const { port } = await listen(() => {}, server, 'secureConnection')
      return `mqtts://127.0.0.1:${port}`
    },
  ],
]

/** What is sent, as arguments and standard input, and which messages it is. */
const SENT: readonly (readonly [args: readonly string[], input: string, sent: string[]])[] = [
  [['pub', '-t', 'a', '-m', 'one', '-q', '1'], '', ['one']],
  [['pub', '-t', 'a', '-m', 'one', '-q', '0'], '', ['one']],
  [['pub', '-t', 'a', '-l', '-q', '2'], 'one\ntwo\nthree', ['one', 'two', 'three']],
  [['pub', '-t', 'a', '-s', '-q', '1'], 'one\ntwo', ['one\ntwo']],
  [
    ['pub', '-t', 'a', '-m', 'one', '-q', '1', '--repeat', '3', '--repeat-delay', '3600'],
    '',
    ['one', 'one', 'one'],
  ],
  [['pipe', '-', '-t', 'a', '-q', '1'], 'one\ntwo\n', ['one', 'two']],
]

/** Runs `pub last` with the session. @returns what the server got. */
async function delivered(session: string): Promise<string[]> {
  const server = await scripted(acknowledge)
  const args = ['pub', 'a', 'last', '-q', '1', '--session', session, '--url', server.url]
  expect(await cli(args)).toMatchObject({ status: 0, stderr: '' })
  return server.packets.flatMap((one) => (one.cmd === 'publish' ? [String(one.payload)] : []))
}

describe('[CLI] a session keeps what was not delivered', { timeout: 120_000 }, () => {
  for (const name of ['session.json', 'directory/']) {
    for (const [args, input, sent] of SENT) {
      const words = args.filter((word) => !/^(a|one|-t|-m)$/.test(word)).join(' ')
      test(`[CLI] ${words} --session ${name}: nothing is lost if the server is away`, async () => {
        const session = join(await scratch(), name)
        const ended = await cli([...args, '--session', session, '--url', NOBODY], input)
        expect(ended.status).toBe(1)
        expect(ended.stderr).toContain('not delivered')
        expect(await delivered(session)).toEqual([...sent, 'last'])
      })
    }
    for (const [what, status, url] of AWAY) {
      test(`[CLI] --session ${name} keeps a message in spite of ${what}`, async () => {
        const session = join(await scratch(), name)
        for (const text of ['one', 'two']) {
          const args = ['pub', 'a', text, '-q', '1', '--session', session, '--url', await url()]
          expect(await cli(args)).toMatchObject({
            status,
            stderr: expect.stringMatching(/[12] messages? not delivered; .* for the next run\n$/),
          })
        }
        expect(await delivered(session)).toEqual(['one', 'two', 'last'])
      })
    }
  }

  test('[CLI] pub -l --session: an input that does not end is read on, until Ctrl-C', async () => {
    const session = join(await scratch(), 'session.json')
    const running = start(['pub', 'a', '-l', '-q', '1', '--session', session, '--url', NOBODY])
    running.process.stdin?.write('one\ntwo\n')
    await until(() => running.stderr().includes('Ctrl-C ends this'))
    running.process.stdin?.write('three\n')
    running.process.kill('SIGINT')
    const { status, stderr } = await running.ended
    expect(status).toBe(1)
    expect(stderr).toContain('standard input was not read to its end')
    expect((await delivered(session)).slice(0, 2)).toEqual(['one', 'two'])
  })

  test('[CLI] a message that cannot be sent is not kept', async () => {
    const session = join(await scratch(), 'session.json')
    const args = ['pub', 'a/#', 'one', '-q', '1', '--session', session, '--url', NOBODY]
    expect((await cli(args)).status).toBe(2)
    expect(await delivered(session)).toEqual(['last'])
  })
})

describe('[CLI] Ctrl-C', { timeout: 60_000 }, () => {
  const BACKLOG = ['{"cmd":"publish","topic":"a","payload":"one","qos":1}\n']
  test.each([
    ['pub -q 1', ['pub', 'a', 'one', '-q', '1', '--reconnect', 'always'], ''],
    ['pub --session', ['pub', 'a', 'one', '-q', '1', '--reconnect', 'always', '--session'], ''],
    ['pipe --spool', ['pipe', '--spool'], BACKLOG.join('')],
  ])('[CLI] [P12] %s: without a connection, Ctrl-C ends it immediately', async (_, args, input) => {
    const path = join(await scratch(), 'kept')
    const isKept = /^--(session|spool)$/.test(args.at(-1)!)
    // A wait for what is in flight would last longer than the test.
    const flags = [...(isKept ? [path] : []), '--disconnect-timeout', '3600000', '--url', NOBODY]
    const running = start([...args, ...flags])
    running.process.stdin?.end(input)
    await until(() => running.stderr().includes('waiting for'))
    running.process.kill('SIGINT')
    expect((await running.ended).status).toBe(130)
    if (args.includes('--session')) expect(await delivered(path)).toEqual(['one', 'last'])
    if (!args.includes('--spool')) return
    expect((await cli(['spool', path])).stdout).toMatch(/^1 request,/)
  })

  test('[CLI] [P12] with a connection, Ctrl-C says what is waited for; a second one ends it', async () => {
    const deaf = await scripted()
    const flags = ['-q', '1', '--disconnect-timeout', '3600000', '--url', deaf.url]
    const running = start(['pub', 'a', 'one', ...flags])
    await until(() => deaf.count('publish') === 1)
    running.process.kill('SIGINT')
    const said = 'it-mqtt: waiting for the outcome of 1 request, for at most 1 h 0 min; '
    await until(() => running.stderr().includes(`${said}Ctrl-C again ends this immediately\n`))
    running.process.kill('SIGINT')
    expect((await running.ended).status).toBe(130)
  })

  test('[CLI] [P12] a connection that is lost after Ctrl-C is not waited for', async () => {
    let cut = () => {}
    const deaf = await scripted((_, { socket }) => {
      cut = () => socket.destroy()
    })
    const flags = ['-q', '1', '--disconnect-timeout', '3600000', '--url', deaf.url]
    const running = start(['pub', 'a', 'one', ...flags])
    await until(() => deaf.count('publish') === 1)
    running.process.kill('SIGINT')
    await until(() => running.stderr().includes('Ctrl-C again'))
    cut()
    expect((await running.ended).status).toBe(130)
  })
})
