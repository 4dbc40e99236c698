import { execFileSync } from 'node:child_process'
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli, type ListeningBroker, scratch, start, until } from './support.ts'

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i))
const text = (items: readonly string[]) => items.map((item) => `${item}\n`).join('')
const payloads = ({ messages }: ListeningBroker) =>
  messages.map(({ payload }) => payload.toString())

async function takenOf(checkpoint: string): Promise<number> {
  return JSON.parse(await readFile(checkpoint, 'utf8').catch(() => '{}')).offset
}

async function setUp(count: number) {
  const directory = await scratch()
  const file = join(directory, 'lines.txt')
  await writeFile(file, text(lines(0, count)))
  const path = (name: string) => join(directory, name)
  return { file, path, flags: ['--topic', 't', '--qos', '1'] }
}

describe('[CLI] pipe --checkpoint', { timeout: 60_000 }, () => {
  test('[CLI] pipe: a checkpointed file goes on where it was delivered to, after Ctrl-C and after SIGKILL', async () => {
    const { file, path, flags } = await setUp(30_000)
    const peer = await broker()
    const all = ['pipe', file, ...flags, '--checkpoint', path('checkpoint'), '--url', peer.url]
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const running = start(all)
      await peer.received(peer.messages.length + 2_000)
      running.process.kill(signal)
      await running.ended
    }
    const before = peer.messages.length
    expect(before).toBeLessThan(30_000)
    const { offset } = JSON.parse(await readFile(path('checkpoint'), 'utf8'))
    expect(offset).toBeGreaterThan(0)
    const { status, stderr } = await cli(all)
    expect([status, stderr]).toEqual([0, expect.stringMatching(/requests delivered in/)])
    expect([...new Set(payloads(peer))]).toEqual(lines(0, 30_000))
    expect((await cli(all)).stderr).toMatch(/^it-mqtt: 0 requests delivered/)
    await appendFile(file, 'more\n')
    expect((await cli(all)).status).toBe(0)
    expect(payloads(peer).at(-1)).toBe('more')
  })

  test('[CLI] pipe: another file is refused before anything is sent', async () => {
    const { file, path, flags } = await setUp(10)
    const peer = await broker()
    const all = ['pipe', file, ...flags, '--checkpoint', path('checkpoint'), '--url', peer.url]
    expect((await cli(all)).status).toBe(0)
    await writeFile(file, text(lines(10, 20)))
    const { status, stderr } = await cli(all)
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/goes on at line 11 .* has changed; give the right file/),
    ])
    expect(peer.messages).toHaveLength(10)
  })

  test('[CLI] pipe: a .gz is unpacked', async () => {
    const { path, flags } = await setUp(0)
    const peer = await broker()
    await writeFile(path('lines.gz'), gzipSync(text(lines(0, 3000))))
    expect((await cli(['pipe', path('lines.gz'), ...flags, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual(lines(0, 3000))
  })

  test('[CLI] pipe: gzip is known by its bytes, under any name and on standard input', async () => {
    const { path, flags } = await setUp(0)
    const peer = await broker()
    const packed = gzipSync(text(lines(0, 5)))
    await writeFile(path('lines.GZ'), packed)
    expect((await cli(['pipe', path('lines.GZ'), ...flags, '--url', peer.url])).status).toBe(0)
    const running = start(['pipe', '-', ...flags, '--url', peer.url])
    running.process.stdin?.end(packed)
    expect((await running.ended).status).toBe(0)
    expect(payloads(peer)).toEqual([...lines(0, 5), ...lines(0, 5)])
  })

  test('[CLI] pipe: a .gz that was cut off is status 1; what it holds is delivered and counted', async () => {
    const { path, flags } = await setUp(0)
    const peer = await broker()
    const packed = gzipSync(text(lines(0, 20_000)))
    await writeFile(path('lines.gz'), packed.subarray(0, packed.length / 2))
    const { status, stderr } = await cli(['pipe', path('lines.gz'), ...flags, '--url', peer.url])
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /lines\.gz is cut off .* [\d,]+ requests delivered in .*, the rest was not read\n$/,
    )
    expect(peer.messages.length).toBeGreaterThan(100)
    expect(payloads(peer)).toEqual(lines(0, peer.messages.length))
  })

  test('[CLI] pipe: a line that is not finished is left for the next run, unless --complete', async () => {
    const { file, path, flags } = await setUp(1)
    const peer = await broker()
    const all = ['pipe', file, ...flags, '--checkpoint', path('checkpoint'), '--url', peer.url]
    await appendFile(file, 'half')
    const { status, stderr } = await cli(all)
    expect([status, stderr]).toEqual([0, expect.stringContaining('has no line end')])
    await appendFile(file, ' and half\nlast')
    await cli(all)
    await cli([...all, '--complete'])
    expect(payloads(peer)).toEqual(['0', 'half and half', 'last'])
  })

  test('[CLI] pipe: a second process on one checkpoint is refused', async () => {
    const { file, path, flags } = await setUp(1)
    const peer = await broker()
    const all = ['pipe', file, ...flags, '--checkpoint', path('checkpoint'), '--url', peer.url]
    const running = start([...all, '--follow'])
    await peer.received(1)
    const second = await cli(all)
    expect([second.status, second.stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`in use by process ${running.process.pid} \\(boot id`)),
    ])
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(143)
  })

  test('[CLI] pipe: a FIFO without a writer is ended by SIGTERM', async () => {
    const { path, flags } = await setUp(0)
    const deaf = await scripted(acknowledge)
    execFileSync('mkfifo', [path('fifo')])
    const running = start(['pipe', path('fifo'), ...flags, '--url', deaf.url])
    await until(() => deaf.count('connect') > 0)
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(143)
  })

  test.each([
    [['--checkpoint', 'x'], /--checkpoint needs a file/],
    [['--follow'], /--follow needs a file/],
  ])('[CLI] pipe: standard input cannot be read again: %j', async (flags, message) => {
    const { status, stderr } = await cli(['pipe', '-', '--topic', 't', ...flags])
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('[CLI] pipe --follow', { timeout: 60_000 }, () => {
  test('[CLI] pipe: a file that is not there yet is waited for, and standard error says so', async () => {
    const { path, flags } = await setUp(0)
    const peer = await broker()
    const running = start(['pipe', path('later'), ...flags, '--follow', '--url', peer.url])
    await until(() => running.stderr().includes('it is waited for'))
    await writeFile(path('later'), text(lines(0, 2)))
    await peer.received(2)
    running.process.kill('SIGTERM')
    expect((await running.ended).status).toBe(143)
    expect(payloads(peer)).toEqual(lines(0, 2))
  })

  test('[CLI] pipe: lines are sent as they are written, through a rotation, until Ctrl-C', async () => {
    const { file, path, flags } = await setUp(2)
    const peer = await broker()
    const all = ['pipe', file, ...flags, '--follow', '--checkpoint', path('c'), '--url', peer.url]
    const running = start(all)
    await peer.received(2)
    await appendFile(file, text(lines(2, 4)))
    await peer.received(4)
    await rename(file, `${file}.1`)
    await writeFile(file, text(lines(4, 6)))
    await peer.received(6)
    running.process.kill('SIGINT')
    expect((await running.ended).status).toBe(130)
    await appendFile(file, text(lines(6, 8)))
    const again = start(all)
    await peer.received(8)
    again.process.kill('SIGTERM')
    expect((await again.ended).status).toBe(143)
    expect(payloads(peer)).toEqual(lines(0, 8))
  })
})

describe('[CLI] pipe --spool', { timeout: 60_000 }, () => {
  test('[CLI] pipe: lines are taken as fast as the disk does; what was not delivered is shown, and sent by the next run', async () => {
    const { file, path, flags } = await setUp(5_000)
    const deaf = await scripted((packet, peer: Peer) => {
      if (packet.cmd === 'publish' && Number(packet.payload) < 3) acknowledge(packet, peer)
    })
    const spool = ['--spool', path('spool'), '--disconnect-timeout', '1']
    const checkpoint = ['--checkpoint', path('checkpoint')]
    const running = start(['pipe', file, ...flags, ...spool, ...checkpoint, '--url', deaf.url])
    await until(async () => (await takenOf(path('checkpoint'))) === text(lines(0, 5_000)).length)
    running.process.kill('SIGINT')
    const interrupted = await running.ended
    expect(interrupted.stderr).toMatch(
      /3 requests delivered in .*, 4997 not delivered, 4997 in the spool/,
    )
    const shown = await cli(['spool', path('spool')])
    expect([shown.status, shown.stdout]).toEqual([
      0,
      expect.stringMatching(/^4,?997 requests, [\d,]+ bytes\n$/),
    ])
    const listed = await cli(['spool', path('spool'), '--json'])
    const requests = listed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(requests).toHaveLength(4997)
    expect(requests[0]).toEqual({ cmd: 'publish', topic: 't', payload: '3', qos: 1, retain: false })
    const peer = await broker()
    const ended = await cli(['pipe', '-', ...flags, ...spool, '--url', peer.url], text(['last']))
    expect(ended.status).toBe(0)
    expect(payloads(peer)).toEqual([...lines(3, 5_000), 'last'])
    expect((await cli(['spool', path('spool')])).stdout).toBe('0 requests, 0 bytes\n')
  })

  test('[CLI] pipe: with a checkpoint, a line counts as delivered once it is in the spool', async () => {
    const { file, path, flags } = await setUp(500)
    const deaf = await scripted(() => {})
    const all = [
      ...['pipe', file, ...flags, '--spool', path('spool'), '--checkpoint', path('checkpoint')],
      ...['--disconnect-timeout', '1'],
    ]
    const running = start([...all, '--url', deaf.url])
    await until(async () => (await takenOf(path('checkpoint'))) === text(lines(0, 500)).length)
    running.process.kill('SIGKILL')
    await running.ended
    const peer = await broker()
    expect((await cli([...all, '--url', peer.url])).status).toBe(0)
    expect(payloads(peer)).toEqual(lines(0, 500))
  })

  test('[CLI] pipe: a line that is no request, or a control, stops it; what went before is delivered', async () => {
    const { file, path } = await setUp(0)
    const peer = await broker()
    await writeFile(
      file,
      '{"cmd":"publish","topic":"a"}\n{"cmd":"shutdown"}\n{"cmd":"publish","topic":"b"}\n',
    )
    const { status, stderr } = await cli([
      'pipe',
      file,
      '--spool',
      path('spool'),
      '--url',
      peer.url,
    ])
    expect(stderr).toMatch(/lines\.txt:2: no request: a control cannot be spooled/)
    expect(status).toBe(1)
    expect(peer.messages.map(({ topic }) => topic)).toEqual(['a'])
  })

  test('[CLI] spool: what is not a spool is refused, and one in use says by whom', async () => {
    const { path, flags } = await setUp(0)
    const none = await cli(['spool', path('nothing')])
    expect([none.status, none.stderr]).toEqual([2, expect.stringMatching(/is no spool/)])
    const deaf = await scripted(() => {})
    const running = start(['pipe', '-', ...flags, '--spool', path('spool'), '--url', deaf.url])
    running.process.stdin?.write('1\n')
    await until(() => deaf.count('publish') > 0)
    const second = await cli(['spool', path('spool')])
    expect([second.status, second.stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`in use by process ${running.process.pid} \\(boot id`)),
    ])
  })
})

describe('[CLI] --session directory', { timeout: 60_000 }, () => {
  test('[CLI] [S1] pipe: killed and started again, it goes on with its session, and every line arrives', async () => {
    const { file, path } = await setUp(20_000)
    const peer = await broker()
    const all = [
      ...['pipe', file, '--topic', 't', '--qos', '2', '--checkpoint', path('checkpoint')],
      ...['--session', `${path('session')}/`, '--client-id', 'piper', '--url', peer.url],
    ]
    for (let i = 0; i < 3; i++) {
      const running = start(all)
      await peer.received(peer.messages.length + 1_000)
      running.process.kill('SIGKILL')
      await running.ended
    }
    expect(peer.messages.length).toBeLessThan(20_000)
    expect((await cli(all)).status).toBe(0)
    // This broker knows no session without subscriptions; exactly once is judged with one that does (test/kill).
    expect([...new Set(payloads(peer))]).toEqual(lines(0, 20_000))
  })
})
