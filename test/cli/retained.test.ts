import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { cli, scratch } from './support.ts'

const BINARY = Buffer.from([0, 255])

/** Retains two messages, and sends a third that is not retained. */
function retaining(packet: Packet, peer: Peer): void {
  acknowledge(packet, peer)
  if (packet.cmd !== 'subscribe') return
  const whole = { cmd: 'publish', dup: false } as const
  const kept = { ...whole, retain: true, qos: 2 } as const
  peer.send({ ...kept, messageId: 1, topic: 'p/a', payload: 'one' })
  peer.send({ ...whole, topic: 'p/x', payload: 'live', qos: 0, retain: false })
  const properties = { contentType: 'x' }
  peer.send({ ...kept, messageId: 2, topic: 'p/b', payload: BINARY, properties })
}

describe('[CLI] retained', { timeout: 60_000 }, () => {
  const flags = (url: string) => ['p/#', '--idle', '200', '--url', url]

  test('[CLI] retained: list writes topics and sizes, or what -F says', async () => {
    const server = await scripted(retaining)
    const ended = await cli(['retained', 'list', ...flags(server.url)])
    const expected = 'p/a\t3 bytes\tQoS 2\np/b\t2 bytes\tQoS 2\n'
    expect(ended).toEqual({ status: 0, stdout: expected, stderr: '' })
    const other = await cli(['retained', 'list', ...flags(server.url), '-F', '%x', '-T', 'p/a'])
    expect(other.stdout).toBe('00ff\n')
  })

  test('[CLI] retained: what save wrote is restored byte by byte', async () => {
    const server = await scripted(retaining)
    const path = join(await scratch(), 'saved.ndjson')
    const saved = await cli(['retained', 'save', ...flags(server.url), '-o', path])
    expect(saved).toEqual({ status: 0, stdout: '', stderr: 'it-mqtt: 2 messages saved\n' })
    expect((await readFile(path, 'utf8')).trim().split('\n')).toHaveLength(2)
    const sink = await scripted(acknowledge)
    const restored = await cli(['retained', 'restore', path, '--url', sink.url])
    expect(restored.status).toBe(0)
    expect(sink.packets.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'p/a', qos: 2, retain: true, payload: Buffer.from('one') },
      { topic: 'p/b', qos: 2, retain: true, payload: BINARY, properties: { contentType: 'x' } },
    ])
  })

  test('[CLI] retained: remove sends an empty retained message for each, --dry-run none', async () => {
    const server = await scripted(retaining)
    const dry = await cli(['retained', 'remove', ...flags(server.url), '--dry-run'])
    expect(dry).toMatchObject({ status: 0, stdout: 'p/a\np/b\n' })
    expect(server.count('publish')).toBe(0)
    const ended = await cli(['retained', 'remove', ...flags(server.url)])
    const said = 'it-mqtt: 2 messages removed\n'
    expect(ended).toEqual({ status: 0, stdout: 'p/a\np/b\n', stderr: said })
    expect(server.packets.filter(({ cmd }) => cmd === 'publish')).toMatchObject([
      { topic: 'p/a', qos: 1, retain: true, payload: Buffer.alloc(0) },
      { topic: 'p/b', qos: 1, retain: true, payload: Buffer.alloc(0) },
    ])
  })

  test('[CLI] retained: without a filter, or with a session, it is refused', async () => {
    for (const words of [[], ['a', '--session', 'x'], ['a', '-c', '-i', 'me']]) {
      const ended = await cli(['retained', 'list', ...words])
      expect(ended).toMatchObject({ status: 2, stdout: '' })
    }
  })
})
