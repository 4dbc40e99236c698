/**
 * Goal: what is acknowledged is in the file, and a file ends with a whole record. Method: a small
 * tmpfs where this process may mount one, a limit of the file size, and readers that leave.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Packet } from 'mqtt-packet'
import { describe, expect, onTestFinished, type TestContext, test } from 'vitest'
import { spool } from '../../src/disk/index.ts'
import { publish } from '../../src/index.ts'
import { program } from '../support/built.ts'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { type Running, run, scratch, until } from './support.ts'

const COUNT = 40
const payload = (n: number) => `${n} ${'x'.repeat(4_000)}`
const PAYLOADS = Array.from({ length: COUNT }, (_, n) => payload(n + 1))

/** Sends the payloads at QoS 1 to each who subscribes. */
function sending(packet: Packet, peer: Peer): void {
  acknowledge(packet, peer)
  if (packet.cmd !== 'subscribe') return
  PAYLOADS.forEach((text, index) => {
    const message = { topic: 't', payload: text, qos: 1, dup: false, retain: true } as const
    peer.send({ cmd: 'publish', messageId: index + 1, ...message })
  })
}

/** @returns the path of a disk of 256 KiB that is almost full, and what gives it room. */
async function smallDisk(context: TestContext): Promise<{ path: string; makeRoom: () => void }> {
  const folder = await scratch()
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder])
  if (status !== 0) {
    console.log(`not run, this process may not mount a tmpfs: ${context.task.name}`)
    context.skip('no tmpfs: not run')
  }
  onTestFinished(() => void spawnSync('umount', ['-l', folder]))
  const filler = join(folder, 'filler')
  writeFileSync(filler, Buffer.alloc(200 << 10))
  return { path: join(folder, 'out'), makeRoom: () => rmSync(filler) }
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`
const words = (args: readonly string[]) =>
  [process.execPath, ...program('cli/main'), ...args].map(quoted).join(' ')

/** Runs `it-mqtt … <redirection>`, and keeps the process of Node. */
function redirected(args: readonly string[], redirection: string): Running {
  return run('bash', ['-c', `exec ${words(args)} ${redirection}`])
}

/** Runs `it-mqtt … | <reader>`; the status is that of it-mqtt unless the reader fails. */
function piped(args: readonly string[], reader: string): Running {
  return run('bash', ['-o', 'pipefail', '-c', `${words(args)} | ${reader}`])
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const FULL = /^it-mqtt: standard output: the disk is full \(ENOSPC\); waiting for room[^\n]*\n/m

async function fullSpool(): Promise<string> {
  const directory = await scratch()
  const queue = await spool(directory)
  for (const text of PAYLOADS) await queue.push(publish('t', text, { qos: 1 }))
  await queue.close()
  return directory
}

describe('[CLI] P2, a full disk on standard output', { timeout: 60_000 }, () => {
  test('[CLI] P2: sub waits, has acknowledged what it wrote, and goes on by itself', async (context) => {
    const { path, makeRoom } = await smallDisk(context)
    const server = await scripted(sending)
    const args = ['sub', 't', '-q', '1', '-C', `${COUNT}`, '--url', server.url]
    const running = redirected(args, `> ${path}`)
    await until(() => FULL.test(running.stderr()))
    const written = linesOf(path).length
    expect(written).toBeGreaterThan(5)
    await until(() => server.count('puback') === written)
    makeRoom()
    const ended = await running.ended
    expect(ended.status).toBe(0)
    expect(ended.stderr).toMatch(/^[^\n]*full[^\n]*\n[^\n]*there is room again[^\n]*\n$/)
    expect(linesOf(path)).toEqual(PAYLOADS)
    expect(server.count('puback')).toBe(COUNT)
  })

  test.for([
    ['>', 'SIGINT', 130],
    ['>>', 'SIGTERM', 143],
  ] as const)(
    '[CLI] P2: sub %s file: %s leaves whole messages, which are those that it acknowledged',
    async ([sign, signal, status], context) => {
      const { path } = await smallDisk(context)
      if (sign === '>>') writeFileSync(path, 'before\n')
      const server = await scripted(sending)
      const running = redirected(['sub', 't', '-q', '1', '--url', server.url], `${sign} ${path}`)
      await until(() => FULL.test(running.stderr()))
      running.process.kill(signal)
      expect((await running.ended).status).toBe(status)
      const lines = linesOf(path).filter((line) => line !== 'before')
      expect(lines).toEqual(PAYLOADS.slice(0, lines.length))
      expect(readFileSync(path, 'utf8').at(-1)).toBe('\n')
      expect(server.count('puback')).toBe(lines.length)
      expect(server.count('disconnect')).toBe(1)
    },
  )

  test('[CLI] P2: spool --json waits too, and a signal that kills it leaves whole lines', async (context) => {
    const { path, makeRoom } = await smallDisk(context)
    const directory = await fullSpool()
    const first = redirected(['spool', directory, '--json'], `> ${path}`)
    await until(() => FULL.test(first.stderr()))
    first.process.kill('SIGTERM')
    await first.ended
    expect(first.process.signalCode).toBe('SIGTERM')
    const lines = linesOf(path).map((line) => JSON.parse(line).payload)
    expect(lines).toEqual(PAYLOADS.slice(0, lines.length))
    const second = redirected(['spool', directory, '--json'], `> ${path}`)
    await until(() => FULL.test(second.stderr()))
    makeRoom()
    expect((await second.ended).status).toBe(0)
    expect(linesOf(path)).toHaveLength(COUNT)
  })

  test('[CLI] P2: retained save and pipe --json wait too', async (context) => {
    const { path, makeRoom } = await smallDisk(context)
    const server = await scripted(sending)
    const saving = redirected(['retained', 'save', 't', '--url', server.url], `> ${path}`)
    await until(() => FULL.test(saving.stderr()))
    const lines = Array.from({ length: 500 }, (_, n) => `line ${n}\n`).join('')
    const piping = redirected(
      ['pipe', '--topic', 'u', '-q', '1', '--json', '--url', server.url],
      `> ${path}.outcomes`,
    )
    piping.process.stdin?.end(lines)
    await until(() => FULL.test(piping.stderr()))
    makeRoom()
    expect((await saving.ended).status).toBe(0)
    expect((await piping.ended).status).toBe(0)
    expect(linesOf(path)).toHaveLength(COUNT)
    const outcomes = linesOf(`${path}.outcomes`).map((line) => JSON.parse(line).line)
    expect(new Set(outcomes).size).toBe(500)
  })

  test('[CLI] P2: a file that may not grow is an error, and ends with a whole message', async () => {
    const path = join(await scratch(), 'out')
    const server = await scripted(sending)
    const args = words(['sub', 't', '-q', '1', '--url', server.url])
    const ended = await run('bash', ['-c', `ulimit -f 64; exec ${args} > ${path}`]).ended
    expect(ended.status).toBe(1)
    expect(ended.stderr).toMatch(
      /^it-mqtt: standard output cannot [^\n]*: file too large \(EFBIG\)\n$/,
    )
    const lines = linesOf(path)
    expect(lines).toEqual(PAYLOADS.slice(0, lines.length))
    expect(readFileSync(path, 'utf8').at(-1)).toBe('\n')
    expect(server.count('puback')).toBe(lines.length)
  })
})

describe('[CLI] P2, readers of standard output', { timeout: 60_000 }, () => {
  test('[CLI] P2: spool, retained and help end quietly once their reader has enough', async () => {
    const directory = await fullSpool()
    const server = await scripted(sending)
    const cases: readonly (readonly [args: string[], lines: number])[] = [
      [['spool', directory, '--json'], 1],
      [['retained', 'save', 't', '--idle', '100', '--url', server.url], 1],
      [['sub', 't', '-C', `${COUNT}`, '--url', server.url], 1],
      [['help', 'mosquitto'], 1],
      [['help', 'man-page'], 1],
      [['completion', 'bash'], 1],
    ]
    for (const [args, lines] of cases) {
      const ended = await piped(args, `head -n ${lines}`).ended
      expect([args[0], ended.status, ended.stderr]).toEqual([args[0], 0, ''])
      expect(ended.stdout.split('\n')).toHaveLength(lines + 1)
    }
  })

  test('[CLI] P2: retained remove removes all, even if nobody reads which', async () => {
    const server = await scripted(sending)
    const args = ['retained', 'remove', 't', '--idle', '100', '--url', server.url]
    const ended = await piped(args, 'head -n 1').ended
    expect(ended).toMatchObject({ status: 0, stdout: 't\n' })
    expect(ended.stderr).toBe(`it-mqtt: ${COUNT} messages removed\n`)
    expect(server.count('publish')).toBe(COUNT)
  })

  test('[CLI] P2: pipes and FIFOs that take a part at a time get every byte', async () => {
    const server = await scripted(sending)
    const args = ['sub', 't', '-q', '1', '-C', `${COUNT}`, '--url', server.url]
    const slow = await piped(args, 'dd bs=1000 status=none').ended
    expect(slow.status).toBe(0)
    expect(slow.stdout.split('\n').slice(0, -1)).toEqual(PAYLOADS)
    const fifo = join(await scratch(), 'fifo')
    spawnSync('mkfifo', [fifo])
    const reader = run('dd', [`if=${fifo}`, 'bs=777', 'status=none'])
    expect((await redirected(args, `> ${fifo}`).ended).status).toBe(0)
    expect((await reader.ended).stdout.split('\n').slice(0, -1)).toEqual(PAYLOADS)
  })
})
