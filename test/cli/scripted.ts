/**
 * An MQTT 5 broker that does what a test says: accepts, and leaves the rest to a function.
 */
import type { Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { listen } from './support.ts'

export interface Peer {
  readonly connect: IConnectPacket
  send(packet: Packet): void
  readonly socket: Socket
}

export interface ScriptedBroker {
  readonly url: string
  /** Everything that clients sent, CONNECT too. */
  readonly packets: Packet[]
  readonly count: (cmd: Packet['cmd']) => number
}

export async function scripted(
  onPacket: (packet: Packet, peer: Peer) => void = () => {},
  sessionPresent = false,
  at = 0,
): Promise<ScriptedBroker> {
  const packets: Packet[] = []
  const accept = (socket: Socket) => {
    const protocol = { protocolVersion: 5 }
    const decoder = parser(protocol)
    let peer: Peer | undefined
    const send = (packet: Packet) => {
      if (!socket.destroyed) socket.write(generate(packet, protocol))
    }
    decoder.on('packet', (packet: Packet) => {
      packets.push(packet)
      if (packet.cmd === 'connect') {
        peer = { connect: packet, send, socket }
        send({ cmd: 'connack', reasonCode: 0, sessionPresent })
      }
      if (packet.cmd === 'disconnect') socket.end()
      if (peer !== undefined) onPacket(packet, peer)
    })
    socket.on('data', (bytes) => decoder.parse(bytes))
  }
  const { port } = await listen(accept, undefined, undefined, at)
  return {
    url: `mqtt://127.0.0.1:${port}`,
    packets,
    count: (cmd) => packets.filter((packet) => packet.cmd === cmd).length,
  }
}

/** What a broker that takes everything answers. */
export function acknowledge(packet: Packet, { send }: Peer): void {
  const { messageId } = packet
  if (messageId === undefined) return
  if (packet.cmd === 'publish') send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId })
  if (packet.cmd === 'pubrec') send({ cmd: 'pubrel', messageId })
  if (packet.cmd === 'pubrel') send({ cmd: 'pubcomp', messageId })
  if (packet.cmd === 'subscribe') {
    send({ cmd: 'suback', messageId, granted: packet.subscriptions.map(({ qos }) => qos) })
  }
}
