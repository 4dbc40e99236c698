/**
 * Goal: what answers in the place of an MQTT server is named. Method: the first bytes of each
 * protocol, whole and byte by byte, and every packet that an MQTT server may send first.
 */
import { describe, expect, test } from 'vitest'
import { joinFirst, mayBeMqtt, whoAnswers } from '../../src/connection/first-bytes.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const strangers: readonly (readonly [name: string, bytes: string, says: RegExp])[] = [
  [
    'HTTP',
    'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n',
    /an HTTP server answered \("HTTP\/1\.1 400 Bad Request"\); for WebSocket use ws:\/\//,
  ],
  ['HTTP without a version line', '<html>\n<body>400</body>', /an HTTP server .*ws:\/\//],
  ['a TLS alert', '\x15\x03\x03\0\x02\x02\x46', /a TLS server answered; use mqtts:\/\//],
  ['an older TLS alert', '\x15\x03\x01\0\x02\x02\x28', /a TLS server/],
  ['SSH', 'SSH-2.0-OpenSSH_9.2p1\r\n', /an SSH server answered \("SSH-2\.0-OpenSSH_9\.2p1"\)/],
  ['SMTP', '220 mail.example ESMTP\r\n', /a mail or FTP server answered \("220 mail/],
  ['POP3', '+OK ready\r\n', /POP3/],
  ['IMAP', '* OK IMAP4rev1\r\n', /IMAP/],
  ['AMQP', 'AMQP\0\0\x09\x01', /an AMQP server/],
  ['NATS', 'INFO {"server_id":"x"}\r\n', /a NATS server/],
  ['Redis', "-ERR unknown command '\\x10'\r\n", /a Redis server/],
  ['VNC', 'RFB 003.008\n', /a VNC server/],
  ['RTSP', 'RTSP/1.0 400 Bad Request\r\n', /a media server/],
  ['HTTP/2', '\0\0\x12\x04\0\0\0\0\0', /an HTTP\/2 server/],
  ['Telnet', '\xff\xfd\x18\xff\xfd\x20', /a Telnet server/],
  ['MySQL', 'J\0\0\0\x0a8.0.36\0', /its first packet is none; check host and port/],
  ['PostgreSQL', 'E\0\0\0\x0bSFATAL\0', /check host and port/],
  ['STOMP', 'ERROR\nmessage:x\n\n\0', /check host and port/],
  ['RDP', '\x03\0\0\x13\x0e\xd0', /check host and port/],
  ['a text', 'login: \r\n', /the text "login: "/],
  ['a text without an end', 'What do you want from me today?', /the text "What do you/],
]

const bytesOf = (text: string) => Buffer.from(text, 'latin1')

/** A loop at a server that answers the CONNECT with these chunks. */
async function contact(chunks: readonly Uint8Array[], then: 'end' | 'stay') {
  const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
  const options = { url: 'mqtt://h:80', protocolVersion: 5, reconnect: 'never' } as const
  const started = startLoop(options, [], undefined, { server })
  await server.clock.advance(0)
  for (const chunk of chunks) {
    server.current.send(chunk)
    await server.clock.advance(0)
  }
  if (then === 'end') server.current.end()
  await server.clock.advance(2000)
  return started
}

describe.each(strangers)('[I1] [T2] %s', (_, text, says) => {
  test.each(['whole', 'in two chunks', 'byte by byte'] as const)('%s', async (how) => {
    const bytes = bytesOf(text)
    const cut = how === 'whole' ? bytes.length : how === 'in two chunks' ? 3 : 1
    const chunks = [bytes.subarray(0, cut)]
    if (how === 'in two chunks') chunks.push(bytes.subarray(cut))
    if (how === 'byte by byte') for (const byte of bytes.subarray(1)) chunks.push(Buffer.of(byte))
    if (how !== 'whole' && /[\0\xff]/.test(text[0]!)) return
    const started = await contact(chunks, 'stay')
    expect(started.error).toMatchObject({
      name: 'ProtocolError',
      code: 'NOT_MQTT',
      retryable: true,
    })
    const { message } = started.error as Error
    expect(message).toContain('mqtt://h:80 is no MQTT server')
    expect(message).toMatch(how === 'byte by byte' ? /server|text/ : says)
    expect(started.warnings).toEqual([])
    expect(started.server.current.closed).toBe(true)
  })
})

test('[I1] a text that is cut off by the end is named as far as it came', async () => {
  const started = await contact([bytesOf('hello')], 'end')
  expect((started.error as Error).message).toMatch(/the text "hello"/)
  const short = await contact([bytesOf('AB')], 'end')
  expect(short.error).toMatchObject({ name: 'ProtocolError', code: 'NOT_MQTT' })
})

test('[I1] packets that may come first are those of MQTT, and other packets are none of another protocol', () => {
  for (const first of [0x20, 0xe0, 0xf0, undefined]) expect(mayBeMqtt(first)).toBe(true)
  const packets = ['30070001610001', '4002000a', '62020001', 'd000', '90030001', '100c', '00', 'e1']
  for (const packet of packets) {
    expect(whoAnswers(Buffer.from(packet, 'hex'), true), packet).toBeNull()
  }
})

test('what is kept of the first bytes is bounded', () => {
  let kept: Uint8Array = new Uint8Array()
  for (let i = 0; i < 1000; i++) kept = joinFirst(kept, bytesOf('x'.repeat(50)))
  expect(kept.length).toBeLessThan(200)
  const message = whoAnswers(bytesOf(`${'x'.repeat(500)}`), false)
  expect(message!.length).toBeLessThan(200)
})

test('[N2] a good CONNACK in pieces is none of another protocol', async () => {
  const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
  const started = startLoop({ until: 'closed' }, [], undefined, { server })
  await server.clock.advance(0)
  await server.current.drip(Buffer.from('2003000000', 'hex'))
  await server.clock.advance(0)
  expect(started.loop.state.connection.kind).toBe('connected')
  await started.loop.return()
})
