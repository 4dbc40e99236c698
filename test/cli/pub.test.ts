import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { acknowledge, scripted } from './scripted.ts'
import { broker, cli, credentials, listen, refusing, scratch, start, until } from './support.ts'

const tls = (name: string) => fileURLToPath(new URL(`./tls/${name}`, import.meta.url))
const NOBODY = 'mqtt://127.0.0.1:1'

/** One line for people: nothing before it, nothing after it, no stack. */
function expectOneLine(stderr: string, ...parts: string[]) {
  expect(stderr).toMatch(/^it-mqtt: [^\n]+\n$/)
  for (const part of parts) expect(stderr).toContain(part)
}

describe('[CLI] pub', { timeout: 60_000 }, () => {
  test('[CLI] pub: a message is delivered, and nothing is said', async () => {
    const { url, messages } = await broker()
    const ended = await cli(['pub', 'a/b', 'grüße', '--url', url, '--qos', '1', '--retain'])
    expect(ended).toEqual({ status: 0, stdout: '', stderr: '' })
    const [message] = messages
    expect(message).toMatchObject({ topic: 'a/b', qos: 1, retain: true })
    expect(message?.payload.toString()).toBe('grüße')
  })

  test('[CLI] pub: - reads the payload from standard input, whatever its bytes', async () => {
    const server = await scripted(acknowledge)
    const running = start(['pub', 'a', '-', '--url', server.url, '--qos', '2'])
    running.process.stdin?.end(Buffer.from([0, 255, 10, 128]))
    expect(await running.ended).toMatchObject({ status: 0, stderr: '' })
    const [, publish] = server.packets
    expect(publish).toMatchObject({
      cmd: 'publish',
      qos: 2,
      payload: Buffer.from([0, 255, 10, 128]),
    })
  })

  test('[CLI] pub: the URL may come from the environment, with user and password', async () => {
    const { port, broker: server } = await broker()
    const env = { IT_MQTT_URL: `mqtt://me:p%40ss@127.0.0.1:${port}` }
    expect(await cli(['pub', 'a', 'x'], '', env)).toMatchObject({ status: 0, stderr: '' })
    expect(new Set(credentials(server))).toEqual(new Set(['me p@ss']))
  })

  test('[CLI] pub: the URL may be the first argument', async () => {
    const { url, messages } = await broker()
    expect(await cli(['pub', url, 'a', 'b', '--qos', '1'])).toMatchObject({ status: 0, stderr: '' })
    expect(messages[0]).toMatchObject({ topic: 'a', payload: Buffer.from('b') })
  })

  test('[CLI] pub: options reach CONNECT', async () => {
    const server = await scripted(acknowledge)
    const flags = ['--client-id', 'edge-7', '--keep-alive', '7', '--mqtt', '5']
    const will = ['--will-topic', 'w', '--will-payload', 'gone', '--will-qos', '1', '--will-retain']
    expect(await cli(['pub', 'a', 'x', '--url', server.url, ...flags, ...will])).toMatchObject({
      status: 0,
    })
    expect(server.packets[0]).toMatchObject({
      cmd: 'connect',
      clientId: 'edge-7',
      keepalive: 7,
      protocolVersion: 5,
      will: { topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: true },
    })
  })

  test('[CLI] pub: an unreachable broker is one line and status 1', async () => {
    const ended = await cli(['pub', 'a', 'x', '--url', 'mqtt://me:secret@127.0.0.1:1'])
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expectOneLine(ended.stderr, 'ECONNREFUSED')
    expect(ended.stderr).not.toContain('secret')
  })

  test('[CLI] pub: a broker that refuses the credentials is one line and a status of its own', async () => {
    const { url } = await broker(refusing(0x87))
    const ended = await cli(['pub', 'a', 'x', '--url', url, '--mqtt', '4'])
    expect(ended).toMatchObject({ status: 5, stdout: '' })
    expectOneLine(ended.stderr)
  })

  test('[CLI] pub: a broker that never answers is one line and status 1', async () => {
    const { port } = await listen(() => {})
    const url = `mqtt://127.0.0.1:${port}`
    const ended = await cli(['pub', 'a', 'x', '--url', url, '--connect-timeout', '200'])
    expect(ended.status).toBe(1)
    expectOneLine(ended.stderr)
  })

  test('[CLI] pub: a message that the broker refuses is one line and status 1', async () => {
    const server = await scripted((packet, peer) => {
      const { messageId = 0 } = packet
      if (packet.cmd === 'publish') peer.send({ cmd: 'puback', messageId, reasonCode: 0x87 })
    })
    const ended = await cli(['pub', 'a/b', 'x', '--url', server.url, '--qos', '1'])
    expect(ended.status).toBe(1)
    expectOneLine(ended.stderr, 'a/b')
  })

  test('[CLI] a wrong command line is one line and status 2', async () => {
    const cases: readonly [given: string[], part: string][] = [
      [['pub', 'a/+', 'x'], 'wildcard'],
      [['pub'], 'topic'],
      [['pub', 'a'], 'message'],
      [['pub', 'a', 'x', '--nope'], '--nope'],
      [['pub', 'a', 'x', '--qos', '3'], '--qos'],
      [['pub', 'a', 'x', '--keep-alive', 'soon'], '--keep-alive'],
      [['pub', 'a', 'x', '--keep-alive', '70000'], '-k must be'],
      [['pub', 'a', 'x', '--url', 'ftp://host'], 'url'],
      [['pub', 'a', 'x', '--mqtt', '6'], '--mqtt'],
      [['pub', 'a', 'x', '--will-payload', 'x'], '--will-topic'],
      [['pub', 'a', 'x', '--ca', 'ca.pem'], 'mqtts://'],
      [['pub', 'a', 'x', '--url', 'mqtts://127.0.0.1:1', '--ca', 'no-such.pem'], 'no-such.pem'],
      [['unknown'], 'unknown'],
    ]
    const check = async ([args, part]: (typeof cases)[number]) => {
      const ended = await cli(args, '', { IT_MQTT_URL: NOBODY })
      expect(ended).toMatchObject({ status: 2, stdout: '' })
      expectOneLine(ended.stderr, part)
    }
    await Promise.all(cases.map(check))
  })

  test('[CLI] --help and --version are no failure', async () => {
    const help = await cli(['pub', '--help'])
    expect(help).toMatchObject({ status: 0, stderr: '' })
    expect(help.stdout).toContain('--will-topic')
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    expect(await cli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('[CLI] sessions of pub', { timeout: 60_000 }, () => {
  test('[CLI] pub: Ctrl-C keeps the message in the session, and the next run delivers it first', async () => {
    const path = join(await scratch(), 'session.json')
    const deaf = await scripted()
    const flags = ['--qos', '1', '--session', path, '--disconnect-timeout', '200']
    const running = start(['pub', 'a', 'one', '--url', deaf.url, ...flags])
    await until(() => deaf.count('publish') === 1)
    running.process.kill('SIGINT')
    const ended = await running.ended
    expect(ended.status).toBe(130)
    expectOneLine(ended.stderr, '1 message not delivered')
    const server = await scripted(acknowledge)
    expect(await cli(['pub', 'a', 'two', '--url', server.url, ...flags])).toMatchObject({
      status: 0,
    })
    const sent = server.packets.flatMap((one) =>
      one.cmd === 'publish' ? [String(one.payload)] : [],
    )
    expect(sent).toEqual(['one', 'two'])
    expect(server.packets[0]).toMatchObject({
      clientId: (deaf.packets[0] as { clientId?: string }).clientId,
    })
  })

  test('[CLI] pub: what a durable session brings is left unacknowledged', async () => {
    const server = await scripted((packet, peer) => {
      if (packet.cmd === 'connect') {
        for (const qos of [1, 2] as const) {
          const message = { topic: 't', payload: 'for others', dup: false, retain: false }
          peer.send({ cmd: 'publish', messageId: qos, qos, ...message })
        }
      }
      acknowledge(packet, peer)
    })
    const path = join(await scratch(), 'session.json')
    const ended = await cli(['pub', 'a', 'x', '--qos', '1', '--url', server.url, '--session', path])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(server.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'publish', 'disconnect'])
  })

  test('[CLI] pub: a session at the broker that nobody here knows is adopted', async () => {
    const server = await scripted(acknowledge, true)
    const path = join(await scratch(), 'session.json')
    const flags = ['--client-id', 'me', '--session', path]
    const ended = await cli(['pub', 'a', 'x', '--url', server.url, ...flags])
    expect(ended.status).toBe(0)
    expect(server.count('publish')).toBe(1)
  })

  test('[CLI] a file that is no session file is one line and status 2', async () => {
    const ended = await cli(['pub', 'a', 'x', '--url', NOBODY, '--session', 'package.json'])
    expect(ended.status).toBe(2)
    expectOneLine(ended.stderr, 'package.json')
  })

  test('[CLI] a session that cannot be saved is an error before anything is sent', async () => {
    const server = await scripted(acknowledge)
    const path = join(await scratch(), 'no', 'such', 'place.json')
    const ended = await cli(['pub', 'a', 'x', '--url', server.url, '--session', path])
    expect(ended.status).toBe(1)
    expectOneLine(ended.stderr, 'ENOENT')
    expect(server.packets).toEqual([])
  })
})

describe('[CLI] TLS', { timeout: 60_000 }, () => {
  async function secureBroker(requestCert: boolean) {
    const peer = await broker()
    const [cert, key, ca] = ['server.pem', 'server.key', 'ca.pem'].map((n) => readFileSync(tls(n)))
    const server = createTlsServer({ cert, key, ca, requestCert, rejectUnauthorized: requestCert })
    server.on('tlsClientError', () => {})
    const { port } = await listen(
      (socket) => peer.broker.accept(socket),
      server,
      'secureConnection',
    )
    return { url: `mqtts://127.0.0.1:${port}`, messages: peer.messages }
  }

  test('[CLI] TLS verifies unless --insecure says otherwise', async () => {
    const { url, messages } = await secureBroker(false)
    const refused = await cli(['pub', 'a', 'x', '--url', url])
    expect(refused.status).toBe(1)
    expectOneLine(refused.stderr, 'certificate')
    expect(messages).toEqual([])
    const trusted = ['--ca', tls('ca.pem')]
    expect(await cli(['pub', 'a', 'x', '--url', url, ...trusted])).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect(await cli(['pub', 'a', 'x', '--url', url, '--insecure'])).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect(messages).toHaveLength(2)
  })

  test('[CLI] TLS: --cert and --key show who we are', async () => {
    const { url, messages } = await secureBroker(true)
    const trusted = ['--ca', tls('ca.pem')]
    expect((await cli(['pub', 'a', 'x', '--url', url, '--qos', '1', ...trusted])).status).toBe(1)
    const own = ['--cert', tls('client.pem'), '--key', tls('client.key')]
    const ended = await cli(['pub', 'a', 'x', '--url', url, '--qos', '1', ...trusted, ...own])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(messages).toHaveLength(1)
  })
})
