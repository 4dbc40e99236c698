/**
 * P3, P4, P6, P7, P9: a file or a sensor before a spool, a session or a checkpoint. Goal: nothing is lost, nothing is sent twice
 * beyond what QoS allows, and what is not delivered is said. Method: processes that are killed, brokers that come late, a small
 * disk, damaged files.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { program } from '../support/built.ts'
import { freePort } from '../support/ports.ts'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, type ListeningBroker, run, scratch, start, until } from './support.ts'

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i))
const text = (items: readonly string[]) => items.map((item) => `${item}\n`).join('')
const payloads = ({ messages }: ListeningBroker) =>
  messages.map(({ payload }) => payload.toString())

async function setUp(count = 0) {
  const directory = await scratch()
  const path = (name: string) => join(directory, name)
  const file = path('lines.txt')
  await writeFile(file, text(lines(0, count)))
  const flags = ['--topic', 't', '--qos', '1', '--disconnect-timeout', '1']
  return { path, file, flags, spool: ['--spool', path('spool')] }
}

const spooled = async (directory: string) =>
  Number.parseInt((await cli(['spool', directory])).stdout.replaceAll(',', ''), 10)

describe('[CLI] P3: pipe --spool with a file', { timeout: 120_000 }, () => {
  test('P3: killed at any moment and started again, each line is in the spool once', async () => {
    const count = 30_000
    const { path, file, flags, spool } = await setUp(count)
    const deaf = await scripted(() => {})
    const all = ['pipe', file, ...flags, ...spool]
    const progress = [...program('cli/main'), ...all, '--url', deaf.url]
    const log = () => readdirSync(path('spool/data')).filter((name) => /\.(log|ldb)$/.test(name))
    const size = () =>
      log().reduce((sum, name) => sum + readFileSync(path(`spool/data/${name}`)).length, 0)
    let last = 0
    for (let i = 0; i < 5; i++) {
      const running = run(process.execPath, progress)
      await until(() => {
        try {
          return size() > last + 50_000 || running.process.exitCode !== null
        } catch {
          return false
        }
      })
      running.process.kill('SIGKILL')
      await running.ended
      last = size()
    }
    const before = await spooled(path('spool'))
    expect(before).toBeGreaterThan(0)
    const peer = await broker()
    const { status, stderr } = await cli([...all, '--url', peer.url])
    expect([status, stderr]).toEqual([0, expect.stringContaining('30,000 requests delivered')])
    expect(payloads(peer)).toEqual(lines(0, count))
  })

  test('P3: after Ctrl-C it goes on, also in a part that was appended; delivered wholly, it begins again', async () => {
    const { path, file, flags, spool } = await setUp(3_000)
    const deaf = await scripted(() => {})
    const all = ['pipe', file, ...flags, ...spool]
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const running = start([...all, '--url', deaf.url])
      await until(() => deaf.count('publish') > 0)
      running.process.kill(signal)
      await running.ended
    }
    await appendFile(file, 'more\n')
    const peer = await broker()
    expect((await cli([...all, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual([...lines(0, 3_000), 'more'])
    expect((await cli([...all, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual([...lines(0, 3_000), 'more', ...lines(0, 3_000), 'more'])
    expect(await spooled(path('spool'))).toBe(0)
  })

  test('P3: two files with one spool have a position each; one that was read and replaced begins again', async () => {
    const { path, file, flags, spool } = await setUp(300)
    const other = path('other.txt')
    await writeFile(other, text(lines(1_000, 1_300)))
    const deaf = await scripted(() => {})
    for (const one of [file, other, file, other]) {
      const running = start(['pipe', one, ...flags, ...spool, '--url', deaf.url])
      const before = deaf.count('publish')
      await until(() => deaf.count('publish') > before)
      running.process.kill('SIGINT')
      await running.ended
    }
    expect(await spooled(path('spool'))).toBe(600)
    await writeFile(file, text(lines(5_000, 5_010)))
    const peer = await broker()
    expect((await cli(['pipe', file, ...flags, ...spool, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual([
      ...lines(0, 300),
      ...lines(1_000, 1_300),
      ...lines(5_000, 5_010),
    ])
  })

  test('P3: a checkpoint beside the position of the spool is refused; the position can be forgotten', async () => {
    const { path, file, flags, spool } = await setUp(300)
    const deaf = await scripted(() => {})
    const all = ['pipe', file, ...flags, ...spool, '--url', deaf.url]
    const running = start(all)
    await until(() => deaf.count('publish') > 0)
    running.process.kill('SIGINT')
    await running.ended
    const both = await cli([...all, '--checkpoint', path('checkpoint')])
    expect([both.status, both.stderr]).toEqual([
      2,
      expect.stringMatching(/^it-mqtt: --checkpoint: the spool .* has a position of .*lines\.txt/),
    ])
    const forgotten = await cli(['spool', path('spool'), '--forget', file])
    expect([forgotten.status, forgotten.stderr]).toEqual([0, expect.stringContaining('first line')])
    expect((await cli(['spool', path('spool'), '--forget', file])).status).toBe(2)
  })

  test('P3: a checkpoint that goes on before a spool that is new is reported', async () => {
    const { path, file, flags, spool } = await setUp(10)
    const peer = await broker()
    const all = ['pipe', file, ...flags, ...spool, '--url', peer.url]
    const checkpointed = [...all, '--checkpoint', path('checkpoint')]
    expect((await cli(checkpointed)).status).toBe(0)
    rmSync(path('spool'), { recursive: true })
    expect((await cli(checkpointed)).stderr).toMatch(/is a new spool, and .* goes on at line 11/)
  })
})

describe('[CLI] P3: pipe --session with files', { timeout: 120_000 }, () => {
  /** Acknowledges everything but payloads of four digits that are odd. */
  const most = (packet: Parameters<typeof acknowledge>[0], peer: Peer) => {
    if (packet.cmd === 'publish' && /^\d{3}[13579]$/.test(String(packet.payload))) return
    acknowledge(packet, peer)
  }
  const sent = (server: Awaited<ReturnType<typeof scripted>>) =>
    server.packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

  test.each(['session/', 'session.json'])(
    'P3: %s: an interrupted file goes on where it stopped, and begins again once it is delivered',
    async (name) => {
      const { path, file, flags } = await setUp(20_000)
      const peer = await broker()
      const all = ['pipe', file, ...flags, '--session', path(name), '--url', peer.url]
      const patient = all.with(all.indexOf('--disconnect-timeout') + 1, '5000')
      for (let i = 1; i <= 2; i++) {
        const running = start(patient)
        await peer.received(3_000 * i)
        running.process.kill('SIGINT')
        expect((await running.ended).status).toBe(130)
      }
      expect(payloads(peer).length).toBeLessThan(20_000)
      expect((await cli(all)).status).toBe(0)
      expect(payloads(peer)).toEqual(lines(0, 20_000))
      expect((await cli(all)).status).toBe(0)
      expect(payloads(peer)).toHaveLength(40_000)
    },
  )

  test.each(['session/', 'session.json'])(
    'P3: %s: two files have a position each, and what is held of one is not taken for the other',
    async (name) => {
      const { path, file, flags } = await setUp(0)
      const other = path('other.txt')
      await writeFile(file, text(lines(1_000, 1_100)))
      await writeFile(other, text(lines(2_000, 2_100)))
      const half = await scripted(most)
      const session = ['--session', path(name), '--client-id', 'piper']
      for (const one of [file, other]) {
        const all = ['pipe', one, ...flags, ...session, '--json', '--url', half.url]
        const running = start(all)
        await until(() => running.stdout().split('\n').length > 50)
        running.process.kill('SIGINT')
        await running.ended
      }
      const server = await scripted(acknowledge)
      for (const one of [other, file]) {
        const ended = await cli(['pipe', one, ...flags, ...session, '--url', server.url])
        expect(ended.status).toBe(0)
      }
      const odd = [...lines(1_000, 1_100), ...lines(2_000, 2_100)].filter(
        (n) => Number(n) % 2 === 1,
      )
      expect(sent(server).sort()).toEqual(odd)
    },
  )

  test('P3: a position in a session directory refuses everything else, and a checkpoint beside it', async () => {
    const { path, file, flags } = await setUp(100)
    const deaf = await scripted(() => {})
    const session = ['--session', path('session/'), '--url', deaf.url]
    const running = start(['pipe', file, ...flags, ...session])
    await until(() => deaf.count('publish') > 0)
    running.process.kill('SIGINT')
    await running.ended
    for (const args of [
      ['pub', 'a', '-n'],
      ['sub', 'a'],
      ['pipe', '-', '--topic', 't'],
      ['pipe', file, '--topic', 't', '--checkpoint', path('checkpoint')],
      ['pipe', file, '--topic', 't', '--spool', path('spool')],
    ]) {
      const ended = await cli([...args, ...session])
      expect([args, ended.status]).toEqual([args, 2])
      expect(ended.stderr).toMatch(/^it-mqtt: --[^\n]*lines\.txt[^\n]*\n$/)
    }
  })
})

describe('[CLI] P4: a sensor before a spool', { timeout: 60_000 }, () => {
  test('P4: is read without a broker, also before the first connection, and delivered when there is one', async () => {
    const { path, flags, spool } = await setUp()
    const port = await freePort()
    const running = start(['pipe', ...flags, ...spool, '--url', `mqtt://127.0.0.1:${port}`])
    const { stdin } = running.process
    for (const line of lines(0, 2_000)) stdin?.write(`${line}\n`)
    await until(() => {
      try {
        return readFileSync(path('spool/head'), 'latin1').includes('"size":2000')
      } catch {
        return false
      }
    })
    expect(running.process.exitCode).toBeNull()
    stdin?.write('last\n')
    const peer = await broker()
    const late = createServer((socket) => peer.broker.accept(socket))
    onTestFinished(() => void late.close())
    late.listen(port, '127.0.0.1')
    await peer.received(2_001)
    stdin?.end()
    expect((await running.ended).status).toBe(0)
    expect(payloads(peer)).toEqual([...lines(0, 2_000), 'last'])
  })

  test('P4: --reconnect never is still heard', async () => {
    const { flags, spool } = await setUp()
    const port = await freePort()
    const never = ['--reconnect', 'never', '--url', `mqtt://127.0.0.1:${port}`]
    const ended = await cli(['pipe', ...flags, ...spool, ...never], '1\n')
    expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining('ECONNREFUSED')])
  })
})

describe('[CLI] P6: bounds of a spool', { timeout: 60_000 }, () => {
  const offline = async () => ['--url', `mqtt://127.0.0.1:${await freePort()}`]

  test.each([
    ['dropOldest', true],
    ['dropNewest', false],
  ])(
    'P6: --overflow %s: what is dropped is said, counted and in --json',
    async (overflow, keepsLast) => {
      const { path, flags, spool } = await setUp()
      const bounds = ['--max-messages', '500', '--overflow', overflow]
      const running = start(['pipe', ...flags, ...spool, ...bounds, '--json', ...(await offline())])
      running.process.stdin?.write(text(lines(0, 1_000)))
      const outcomes = () => running.stdout().trim().split('\n').filter(Boolean)
      await until(() => outcomes().length === 500)
      running.process.kill('SIGINT')
      const { status, stderr } = await running.ended
      expect(status).toBe(130)
      expect(stderr).toContain('500 dropped')
      expect(stderr.match(/is full/g)).toHaveLength(1)
      expect(JSON.parse(outcomes()[0]!)).toMatchObject({ ok: false, error: { code: 'SPOOL_FULL' } })
      const peer = await broker()
      expect((await cli(['pipe', ...flags, ...spool, '--url', peer.url])).status).toBe(0)
      const left = payloads(peer)
      // What the loop has taken is not dropped.
      expect([left.length, left[0], left.includes('999')]).toEqual([500, '0', keepsLast])
      expect(await spooled(path('spool'))).toBe(0)
    },
  )

  test('P6: --overflow reject ends reading at the first line that does not fit, and the file goes on there', async () => {
    const { path, file, flags, spool } = await setUp(20)
    const all = ['pipe', file, ...flags, ...spool]
    const running = start([
      ...all,
      '--max-messages',
      '3',
      '--overflow',
      'reject',
      ...(await offline()),
    ])
    await until(() => {
      try {
        return readFileSync(path('spool/head'), 'latin1').includes('"size":3')
      } catch {
        return false
      }
    })
    running.process.kill('SIGINT')
    const { stderr } = await running.ended
    expect(stderr).toMatch(/3 in the spool, the rest was not read/)
    const peer = await broker()
    expect((await cli([...all, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual(lines(0, 20))
  })

  test('P6: wait is the default: the file is read as lines are delivered', async () => {
    const { file, flags, spool } = await setUp(1_000)
    const peer = await broker()
    const bounds = ['--max-bytes', '500', '--url', peer.url]
    const { status } = await cli(['pipe', file, ...flags, ...spool, ...bounds])
    expect([status, payloads(peer)]).toEqual([0, lines(0, 1_000)])
  })

  test.each([
    [['--max-messages', '3'], '--max-messages needs --spool'],
    [['--spool', '/tmp/none', '--overflow', 'reject'], '--overflow needs --max-messages'],
    [['--spool', '/tmp/none', '--overflow', 'drop'], 'dropOldest'],
  ])('P6: %j is refused', async (given, part) => {
    const ended = await cli(['pipe', '-', '--topic', 't', ...given])
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringContaining(part)])
  })

  test('P6: a full disk is waited for, said once, and nothing is lost', async ({ skip }) => {
    const { path, flags } = await setUp()
    const disk = path('disk')
    mkdirSync(disk)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]).status === 0
    if (!mounted) skip('not run: this process may not mount a tmpfs')
    onTestFinished(() => void spawnSync('umount', ['-l', disk]))
    await mkdir(join(disk, 'spool'))
    const spool = ['--spool', join(disk, 'spool')]
    const running = start(['pipe', ...flags, ...spool, ...(await offline())])
    running.process.stdin?.write('0\n')
    await until(() => {
      try {
        return readFileSync(join(disk, 'spool/head'), 'latin1').includes('"size":1')
      } catch {
        return false
      }
    })
    try {
      for (;;) appendFileSync(join(disk, 'filler'), Buffer.alloc(4096))
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
    running.process.stdin?.write(text(lines(1, 500)))
    await until(() => running.stderr().includes('wait until there is room'))
    expect(running.process.exitCode).toBeNull()
    rmSync(join(disk, 'filler'))
    await until(() => readFileSync(join(disk, 'spool/head'), 'latin1').includes('"size":500'))
    expect(running.stderr().match(/wait until there is room/g)).toHaveLength(1)
    running.process.kill('SIGINT')
    expect((await running.ended).stderr).toContain('500 in the spool')
    const peer = await broker()
    expect((await cli(['pipe', ...flags, ...spool, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual(lines(0, 500))
  })
})

describe('[CLI] P7: a damaged spool', { timeout: 60_000 }, () => {
  async function damaged() {
    const { path, file, flags, spool } = await setUp(500)
    const deaf = await scripted(() => {})
    const running = start(['pipe', file, ...flags, ...spool, '--url', deaf.url])
    await until(() => readHead(path('spool')).includes('"size":500'))
    running.process.kill('SIGINT')
    await running.ended
    const log = readdirSync(path('spool/data')).find((name) => name.endsWith('.log'))!
    const bytes = readFileSync(path(`spool/data/${log}`))
    bytes[Math.floor(bytes.length / 2)]! ^= 0xff
    await writeFile(path(`spool/data/${log}`), bytes)
    return { path, flags, spool }
  }

  function readHead(directory: string): string {
    try {
      return readFileSync(join(directory, 'head'), 'latin1')
    } catch {
      return ''
    }
  }

  test('P7: is a line and a status; the rest is delivered, and clearing sets the count to 0', async () => {
    const { path, flags, spool } = await damaged()
    const peer = await broker()
    const { status, stderr } = await cli(['pipe', '-', ...flags, ...spool, '--url', peer.url])
    const delivered = payloads(peer).length
    const lost = 500 - delivered
    expect(lost).toBeGreaterThan(0)
    expect(delivered).toBe(new Set(payloads(peer)).size)
    expect(status).toBe(1)
    expect(stderr).toMatch(new RegExp(`${lost} requests? w(as|ere) lost, because files of .*spool`))
    expect(stderr).toContain(`${lost} lost to damage of the spool`)
    const shown = await cli(['spool', path('spool')])
    expect([shown.status, shown.stdout]).toEqual([1, '0 requests, 0 bytes\n'])
    expect(shown.stderr).toMatch(new RegExp(`${lost} requests? lost to damage; .*--clear-damaged`))
    const saved = ['--save-damaged', path('damaged.bin')]
    const cleared = await cli(['spool', path('spool'), '--clear-damaged', ...saved])
    expect([cleared.status, cleared.stderr]).toEqual([
      0,
      expect.stringMatching(new RegExp(`cleared: .* removed.*; ${lost} requests? had been lost`)),
    ])
    expect(await cli(['spool', path('spool')])).toEqual({
      status: 0,
      stdout: '0 requests, 0 bytes\n',
      stderr: '',
    })
    expect((await cli(['pipe', '-', ...flags, ...spool, '--url', peer.url])).status).toBe(0)
  })

  test('P7: a spool that is removed while it is in use is a line and a status', async () => {
    const { path, flags, spool } = await setUp()
    const deaf = await scripted(() => {})
    const running = start(['pipe', ...flags, ...spool, '--url', deaf.url])
    running.process.stdin?.write('1\n')
    await until(() => deaf.count('publish') > 0)
    await rename(path('spool'), path('elsewhere'))
    running.process.stdin?.write('2\n')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([1, expect.stringMatching(/was removed or replaced/)])
  })
})

describe('[CLI] P9: outcomes', { timeout: 60_000 }, () => {
  const expiring = (seconds: number) =>
    `${JSON.stringify({
      ...{ cmd: 'publish', topic: 't', payload: 'x', qos: 1 },
      properties: { messageExpiryInterval: seconds },
    })}\n`

  test('P9: what expires in a spool is said, counted, in --json, and decides the status', async () => {
    const { path } = await setUp()
    const spool = ['--spool', path('spool')]
    const deaf = await scripted(() => {})
    const running = start(['pipe', ...spool, '--disconnect-timeout', '1', '--url', deaf.url])
    running.process.stdin?.write(expiring(1) + expiring(1) + expiring(3600))
    await until(() => deaf.count('publish') === 3)
    running.process.kill('SIGINT')
    await running.ended
    // The next process begins later: its clock on the wall is an hour ahead.
    const later = 'data:text/javascript,const n=Date.now;Date.now=()=>n()+1800000'
    const peer = await scripted(acknowledge)
    const args = ['pipe', '-', ...spool, '--json', '--url', peer.url]
    const child = run(process.execPath, ['--import', later, ...program('cli/main'), ...args])
    child.process.stdin?.end()
    const ended = await child.ended
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(/expired while it was queued/)
    expect(ended.stderr).toMatch(/1 request delivered in .*, 2 expired/)
    const outcomes = ended.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(outcomes.filter(({ ok }) => !ok)).toMatchObject([
      { topic: 't', error: { code: 'MESSAGE_EXPIRED' } },
      { topic: 't', error: { code: 'MESSAGE_EXPIRED' } },
    ])
  })

  test('P9: a clock that goes from 1970 to now expires nothing', async () => {
    const { path } = await setUp()
    const spool = ['--spool', path('spool')]
    const deaf = await scripted(() => {})
    const early = 'data:text/javascript,const n=Date.now,s=n();Date.now=()=>n()-s+5000'
    const args = ['pipe', ...spool, '--disconnect-timeout', '1', '--url', deaf.url]
    const running = run(process.execPath, ['--import', early, ...program('cli/main'), ...args])
    running.process.stdin?.write(expiring(60))
    await until(() => deaf.count('publish') === 1)
    running.process.kill('SIGINT')
    await running.ended
    const peer = await scripted(acknowledge)
    const ended = await cli(['pipe', '-', ...spool, '--url', peer.url])
    expect([ended.status, peer.count('publish')]).toEqual([0, 1])
  })

  test('P9: lines that are skipped are in --json; if all of them were, the status says so', async () => {
    const peer = await broker()
    const skip = ['pipe', '-', '--on-invalid', 'skip', '--json', '--url', peer.url]
    const all = await cli(skip, 'no\nnone\n')
    expect([all.status, all.stderr]).toEqual([1, expect.stringContaining('2 lines skipped')])
    expect(
      all.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { line: 1, ok: false, error: { code: 'INVALID_LINE' } },
      { line: 2, ok: false, error: { code: 'INVALID_LINE' } },
    ])
    const some = await cli(skip, 'no\n{"cmd":"publish","topic":"t"}\n')
    expect([some.status, some.stderr]).toEqual([0, expect.stringContaining('1 line skipped')])
  })
})
