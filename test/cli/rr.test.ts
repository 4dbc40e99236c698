import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { acknowledge, type Peer, scripted } from './scripted.ts'
import { broker, cli } from './support.ts'

const message = { cmd: 'publish', qos: 0, dup: false, retain: false } as const

describe('[CLI] rr', { timeout: 60_000 }, () => {
  test('[CLI] rr: the first answer with our correlation data is written', async () => {
    const server = await scripted((packet: Packet, peer: Peer) => {
      acknowledge(packet, peer)
      if (packet.cmd !== 'publish') return
      const { responseTopic: topic = 'none', correlationData } = packet.properties ?? {}
      const foreign = { correlationData: Buffer.from('of another') }
      peer.send({ ...message, topic, payload: 'for others', properties: foreign })
      const own = correlationData === undefined ? {} : { correlationData }
      peer.send({ ...message, topic, payload: `to ${packet.payload}`, properties: own })
    })
    const args = ['-t', 'ask', '-e', 'answer', '-m', 'a question', '-v', '--url', server.url]
    const ended = await cli(['rr', ...args])
    expect(ended).toEqual({ status: 0, stdout: 'answer to a question\n', stderr: '' })
    const order = server.packets.map(({ cmd }) => cmd)
    expect(order).toEqual(['connect', 'subscribe', 'publish', 'disconnect'])
  })

  test('[CLI] rr: it works with MQTT 3.1.1, and -W ends it with status 27', async () => {
    const peer = await broker()
    const flags = ['-t', 'ask', '-e', 'answer', '-m', 'x', '-W', '1', '--url', peer.url]
    const ended = await cli(['rr', ...flags])
    expect(ended).toEqual({ status: 27, stdout: '', stderr: 'it-mqtt: timed out\n' })
    expect(peer.messages[0]).toMatchObject({ topic: 'ask' })
  })

  test('[CLI] rr: without a response topic it is refused', async () => {
    const ended = await cli(['rr', '-t', 'a', '-m', 'x'])
    expect(ended.status).toBe(2)
    expect(ended.stderr).toContain('-e')
  })
})
