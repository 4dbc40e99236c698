import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { program } from '../support/built.ts'
import { acknowledge, scripted } from './scripted.ts'
import { broker, cli, type ListeningBroker, run, scratch, start, until } from './support.ts'

const lines = (count: number) => Array.from({ length: count }, (_, i) => String(i))
const text = (items: readonly string[]) => items.map((item) => `${item}\n`).join('')
const payloads = ({ messages }: ListeningBroker) =>
  messages.map(({ payload }) => payload.toString())

async function fileOf(content: string | Buffer, name = 'requests.ndjson'): Promise<string> {
  const path = join(await scratch(), name)
  await writeFile(path, content)
  return path
}

describe('[CLI] pipe', { timeout: 60_000 }, () => {
  test('[CLI] pipe: each line of NDJSON is a request, and --json tells each outcome', async () => {
    const server = await scripted(acknowledge)
    const file = await fileOf(
      [
        '\uFEFF{"cmd":"publish","topic":"a","payload":"grüße","qos":1}',
        '',
        '{"cmd":"publish","topic":"b","payload":{"base64":"AP8="},"retain":true}\r',
        '{"cmd":"subscribe","subscriptions":[{"topic":"c/#","qos":1}]}',
        '{"cmd":"publish","topic":"d","qos":2,"properties":{"contentType":"text/plain"}}',
      ].join('\n'),
    )
    const ended = await cli(['pipe', file, '--json', '--url', server.url])
    expect(ended.status).toBe(0)
    expect(ended.stderr).toMatch(/^it-mqtt: 4 requests delivered in [\d.]+ s\n$/)
    const outcomes = ended.stdout.trim().split('\n')
    expect(outcomes.map((line) => JSON.parse(line)).sort((a, b) => a.line - b.line)).toEqual([
      { line: 1, ok: true, cmd: 'publish', topic: 'a', reasonCode: 0 },
      { line: 3, ok: true, cmd: 'publish', topic: 'b' },
      { line: 4, ok: true, cmd: 'subscribe', granted: [1] },
      { line: 5, ok: true, cmd: 'publish', topic: 'd', reasonCode: 0 },
    ])
    const publishes = server.packets.filter(({ cmd }) => cmd === 'publish')
    expect(publishes).toMatchObject([
      { topic: 'a', qos: 1, payload: Buffer.from('grüße') },
      { topic: 'b', qos: 0, payload: Buffer.from([0, 255]), retain: true },
      { topic: 'd', qos: 2, properties: { contentType: 'text/plain' } },
    ])
  })

  test('[CLI] pipe: --topic, --qos and --retain make requests of plain lines from standard input', async () => {
    const server = await scripted(acknowledge)
    const flags = ['--topic', 't', '--qos', '2', '--retain', '--url', server.url]
    const running = start(['pipe', ...flags])
    running.process.stdin?.end(Buffer.from('one\r\n\n\xff\xfe\nno line end', 'latin1'))
    expect(await running.ended).toMatchObject({ status: 0, stdout: '' })
    const publishes = server.packets.filter(({ cmd }) => cmd === 'publish')
    expect(publishes).toMatchObject(
      ['one', '\xff\xfe', 'no line end'].map((line) => ({
        ...{ topic: 't', qos: 2, retain: true, payload: Buffer.from(line, 'latin1') },
      })),
    )
  })

  test('[CLI] pipe: --qos is for lines that do not say theirs', async () => {
    const server = await scripted(acknowledge)
    const input =
      '{"cmd":"publish","topic":"a"}\n{"cmd":"publish","topic":"b","qos":0,"retain":false}\n'
    await cli(['pipe', '-', '--qos', '1', '--retain', '--url', server.url], input)
    expect(server.packets.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'a', qos: 1, retain: true },
      { topic: 'b', qos: 0, retain: false },
    ])
  })

  test('[CLI] pipe: a large file goes over a link that breaks, whole and in order', async () => {
    const peer = await broker()
    const expected = lines(20_000)
    const file = await fileOf(text(expected), 'lines.txt')
    const path = join(await scratch(), 'session.json')
    const flags = ['--topic', 't', '--qos', '1', '--session', path, '--url', peer.url]
    const running = start(['pipe', file, ...flags])
    await peer.received(8_000)
    for (const socket of peer.sockets) socket.destroy()
    const ended = await running.ended
    expect(ended.status).toBe(0)
    expect(ended.stderr).toContain('20,000 requests delivered')
    expect([...new Set(payloads(peer))]).toEqual(expected)
  })

  test('[CLI] pipe: a line that is no request names file and line, and stops after what went before', async () => {
    const peer = await broker()
    const file = await fileOf(
      '{"cmd":"publish","topic":"a"}\n{"cmd":"publish"}\n{"cmd":"publish","topic":"c"}\n',
    )
    const stopped = await cli(['pipe', file, '--qos', '1', '--url', peer.url])
    expect(stopped.status).toBe(1)
    expect(stopped.stderr.split('\n')).toEqual([
      expect.stringMatching(/^it-mqtt: .*requests\.ndjson:2: no request: publish\.topic must be/),
      expect.stringMatching(/^it-mqtt: 1 request delivered in .*, the rest was not read$/),
      '',
    ])
    expect(peer.messages.map(({ topic }) => topic)).toEqual(['a'])
    const skipped = await cli(['pipe', file, '--on-invalid', 'skip', '--url', peer.url])
    expect(skipped.status).toBe(0)
    expect(skipped.stderr).toContain('requests.ndjson:2: no request')
    expect(skipped.stderr).toContain('2 requests delivered')
    expect(skipped.stderr).toContain('1 line skipped')
    expect(peer.messages.map(({ topic }) => topic)).toEqual(['a', 'a', 'c'])
  })

  test('[CLI] pipe is no request', async () => {
    const cases: readonly [given: string, part: string][] = [
      ['nope', 'not valid JSON; give -t topic to send lines as they are'],
      ['[]', 'an object with cmd is expected; give -t topic'],
      ['{"topic":"a"}', 'a topic and a payload are expected, or a cmd; give -t topic'],
      ['{"level":"info","payload":1}', 'a topic and a payload are expected'],
      ['{"topic":"a","payload":{"a":1}}', 'payload must be a string or, for bytes, {"base64":'],
      ['{"cmd":"publish","topic":"a","payload":7}', 'payload must be a string or'],
      ['{"topic":"a","payload":"x","mesage":1}', 'mesage'],
      ['{"cmd":"publish","topic":"a/#"}', 'wildcard'],
      ['{"cmd":"publish","topic":"a","messageId":7}', 'messageId'],
      ['{"cmd":"publish","topic":"\xff"}', 'UTF-8'],
    ]
    const check = async ([line, part]: (typeof cases)[number]) => {
      const server = await scripted(acknowledge)
      const file = await fileOf(Buffer.from(`${line}\n`, 'latin1'))
      const ended = await cli(['pipe', file, '--url', server.url])
      expect(ended.status).toBe(1)
      expect(ended.stderr).toMatch(/requests\.ndjson:1: no request: /)
      expect(ended.stderr).toContain(part)
      expect(server.count('publish')).toBe(0)
    }
    await Promise.all(cases.map(check))
  })

  test('[CLI] pipe: a line with a topic and a payload needs no cmd', async () => {
    const server = await scripted(acknowledge)
    const lines = [
      '{"topic":"a","payload":"x","qos":1}',
      '{"payload":{"base64":"AP8="},"topic":"b"}',
    ]
    const file = await fileOf(`${lines.join('\n')}\n`)
    expect((await cli(['pipe', file, '--url', server.url])).status).toBe(0)
    expect(server.packets.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'a', payload: Buffer.from('x'), qos: 1 },
      { topic: 'b', payload: Buffer.from([0, 255]), qos: 0 },
    ])
  })

  const STORED: [flag: string, args: string[], levels: number[]][] = [
    ['--session', ['pub', 'a', 'x'], [1]],
    ['--session', ['pub', 'a', 'x', '-q', '0'], [0]],
    ['--session', ['pipe'], [1, 0]],
    ['--checkpoint', ['pipe'], [1, 0]],
    ['--spool', ['pipe'], [1, 0]],
  ]
  test.each(STORED)(
    '[CLI] %s %j: what is stored until it is delivered has QoS 1, if none is given',
    async (flag, args, levels) => {
      const server = await scripted(acknowledge)
      const file = await fileOf(
        '{"topic":"a","payload":"x"}\n{"topic":"a","payload":"y","qos":0}\n',
      )
      const path = join(await scratch(), 'kept')
      const files = args[0] === 'pipe' ? [file] : []
      const ended = await cli([...args, ...files, flag, path, '--url', server.url])
      expect(ended.status).toBe(0)
      const sent = server.packets.flatMap((one) => (one.cmd === 'publish' ? [one.qos] : []))
      expect(sent).toEqual(levels)
    },
  )

  test('[CLI] [P12] pipe --follow: after Ctrl-C a rest is named only if there is one', async () => {
    const server = await scripted(acknowledge)
    const file = await fileOf('{"topic":"a","payload":"x"}\n')
    const running = start(['pipe', file, '--follow', '-q', '1', '--url', server.url])
    await until(() => server.count('publish') === 1)
    running.process.kill('SIGINT')
    const { stderr } = await running.ended
    expect(stderr).toMatch(/delivered in [\d.]+ s, \d not delivered\n$/)
  })

  test('[CLI] pipe: what the server refuses is reported with its line, the others are delivered', async () => {
    const server = await scripted((packet, peer) => {
      const { messageId = 0 } = packet
      if (packet.cmd !== 'publish') return
      const reasonCode = String(packet.payload) === '1' ? 0x97 : 0
      peer.send({ cmd: 'puback', messageId, reasonCode })
    })
    const flags = ['--topic', 't', '--qos', '1', '--json', '--url', server.url]
    const ended = await cli(['pipe', '-', ...flags], text(lines(3)))
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(/^it-mqtt: stdin:2: /)
    expect(ended.stderr).toContain('2 requests delivered')
    expect(ended.stderr).toContain('1 refused')
    const [, refused] = ended.stdout.split('\n').map((line) => line && JSON.parse(line))
    expect(refused).toMatchObject({ line: 2, ok: false, reasonCode: 0x97 })
    expect(refused.error.code).toEqual(expect.any(String))
  })

  test('[CLI] pipe: a wrong command line is one line and status 2', async () => {
    const cases: readonly [given: string[], part: string][] = [
      [['pipe', 'no-such-file'], 'no-such-file'],
      [['pipe', 'src'], 'directory'],
      [['pipe', '-', '--topic', 'a/#'], 'wildcard'],
      [['pipe', '-', '--on-invalid', 'cry'], '--on-invalid'],
    ]
    const check = async ([args, part]: (typeof cases)[number]) => {
      const ended = await cli([...args, '--url', 'mqtt://127.0.0.1:1'])
      expect(ended).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toMatch(/^it-mqtt: [^\n]+\n$/)
      expect(ended.stderr).toContain(part)
    }
    await Promise.all(cases.map(check))
  })

  test('[CLI] pipe: an unreachable broker is one line and status 1', async () => {
    const ended = await cli(['pipe', '-', '--topic', 't', '--url', 'mqtt://127.0.0.1:1'], 'x\n')
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(/^it-mqtt: [^\n]*ECONNREFUSED[^\n]*\n$/)
  })

  test('[CLI] pipe: outcomes that nobody reads hold it up, and nothing is lost', async () => {
    const server = await scripted(acknowledge)
    const file = await fileOf(text(lines(10_000)))
    const flags = ['--topic', 't', '--qos', '1', '--json', '--url', server.url]
    const running = start(['pipe', file, ...flags])
    const { stdout } = running.process
    stdout?.pause()
    let last = -1
    await until(() => {
      const seen = server.count('publish')
      const stalled = seen > 0 && seen === last
      last = seen
      return stalled
    })
    expect(last).toBeLessThan(10_000)
    stdout?.resume()
    const ended = await running.ended
    expect(ended.status).toBe(0)
    expect(ended.stdout.trim().split('\n')).toHaveLength(10_000)
  })
})

describe('[CLI] progress', { timeout: 60_000 }, () => {
  /** What makes the command take a pipe for a terminal. */
  const TERMINAL = 'data:text/javascript,Object.assign(process.stderr,{isTTY:true,columns:120})'
  /** What makes 5 s pass in 100 ms. */
  const HASTE = 'data:text/javascript,const s=setInterval;globalThis.setInterval=(f,ms)=>s(f,ms/50)'
  const MAIN = program('cli/main')

  test('[CLI] pipe: on a terminal there is a bar that knows the size of the file', async () => {
    const server = await scripted((packet, peer) => {
      if (packet.cmd === 'publish' && String(packet.payload) !== '9999') acknowledge(packet, peer)
    })
    const file = await fileOf(text(lines(10_000)))
    const args = ['--import', TERMINAL, ...MAIN, 'pipe', file, '--topic', 't']
    const flags = ['--qos', '1', '--disconnect-timeout', '100', '--url', server.url]
    const running = run(process.execPath, [...args, ...flags])
    await until(() => running.stderr().includes('100 %, 9,999 delivered, 1 under way'))
    running.process.kill('SIGINT')
    const ended = await running.ended
    expect(ended.status).toBe(130)
    expect(ended.stderr).toMatch(
      /it-mqtt: 9,999 requests delivered in [\d.]+ s, 1 not delivered\n$/,
    )
  })

  test('[CLI] pipe: elsewhere there is a line now and then, unless --quiet', async () => {
    const deaf = await scripted()
    const file = await fileOf('x\n')
    const flags = ['--topic', 't', '--qos', '1', '--disconnect-timeout', '1', '--url', deaf.url]
    const pipe = ['--import', HASTE, ...MAIN, 'pipe', file, ...flags]
    const loud = run(process.execPath, pipe)
    const quiet = run(process.execPath, [...pipe, '--quiet'])
    await until(() => loud.stderr().includes('1 under way') && deaf.count('publish') === 2)
    expect(loud.stderr()).toMatch(/^(it-mqtt: \d+ %, 0 delivered, [01] under way[^\n]*\n)+$/)
    loud.process.kill('SIGINT')
    quiet.process.kill('SIGINT')
    expect((await quiet.ended).stderr).toMatch(
      /^it-mqtt: 0 requests delivered .* 1 not delivered\n$/,
    )
    await loud.ended
  })

  test('[CLI] pipe: --quiet and all delivered is silence', async () => {
    const server = await scripted(acknowledge)
    const ended = await cli(['pipe', '--quiet', '--topic', 't', '--url', server.url], 'x\n')
    expect(ended).toEqual({ status: 0, stdout: '', stderr: '' })
  })
})
