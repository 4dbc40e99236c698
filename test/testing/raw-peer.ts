/**
 * A client of the broker in memory that sends exactly what the test says. mqtt-packet reads and
 * writes its bytes.
 */
import mqtt, { type IConnectPacket, type Packet } from 'mqtt-packet'
import type { ByteStream } from '../../src/platform/byte-stream.ts'
import { createBroker, type TestBroker } from '../../src/testing/broker.ts'
import type { BrokerOptions } from '../../src/testing/broker-options.ts'
import { type VirtualClock, virtualClock } from '../../src/testing/virtual-clock.ts'

export type Version = 3 | 4 | 5
type Fields = Readonly<Record<string, unknown>>

export class RawPeer {
  /** What came and was not taken, in order. */
  packets: Packet[] = []
  closed = false
  readonly stream: ByteStream
  readonly #version: Version
  #nextId = 1

  constructor(broker: TestBroker, version: Version) {
    this.#version = version
    this.stream = broker.open()
    const parser = mqtt.parser({ protocolVersion: version })
    parser.on('packet', (packet) => this.packets.push(packet))
    this.stream.on('data', (chunk) => parser.parse(Buffer.from(chunk)))
    this.stream.on('error', () => {})
    this.stream.on('end', () => this.stream.end())
    this.stream.on('close', () => {
      this.closed = true
    })
  }

  send(cmd: string, fields: Fields = {}): number {
    const messageId = this.#nextId++
    const packet = { cmd, messageId, ...fields } as unknown as Packet
    const bytes = mqtt.generate(packet, { protocolVersion: this.#version })
    this.stream.write(bytes, () => {})
    return (fields['messageId'] as number | undefined) ?? messageId
  }

  connect(clientId: string, fields: Partial<IConnectPacket> = {}): void {
    const protocolId = this.#version === 3 ? 'MQIsdp' : 'MQTT'
    const version = { protocolVersion: this.#version, protocolId }
    this.send('connect', { clientId, clean: true, keepalive: 0, ...version, ...fields })
  }

  subscribe(topic: string, fields: Fields = {}, properties: Fields = {}): void {
    const subscription = { topic, qos: 2, nl: false, rap: false, rh: 0, ...fields }
    this.send('subscribe', { subscriptions: [subscription], properties })
  }

  publish(topic: string, payload: string, fields: Fields = {}): number {
    return this.send('publish', { topic, payload, qos: 0, dup: false, retain: false, ...fields })
  }

  /** @returns what came, in short: `publish a/b "x" q1 r`, `puback 1 10`. */
  take(): string[] {
    const taken = this.packets.map(shorten)
    this.packets = []
    return taken
  }
}

function shorten(packet: Packet): string {
  const id = packet.messageId === undefined ? '' : ` ${packet.messageId}`
  const code =
    'reasonCode' in packet && packet.reasonCode ? ` ${packet.reasonCode.toString(16)}` : ''
  switch (packet.cmd) {
    case 'publish': {
      const flags = `${packet.retain ? ' retain' : ''}${packet.dup ? ' dup' : ''}`
      const ids = packet.properties?.subscriptionIdentifier
      const numbers = ids === undefined ? '' : ` id=${ids}`
      return `publish ${packet.topic} ${packet.payload} q${packet.qos}${flags}${numbers}`
    }
    case 'connack': {
      const refused = packet.returnCode ? ` ${packet.returnCode}` : code
      return `connack${packet.sessionPresent ? ' present' : ''}${refused}`
    }
    case 'suback':
    case 'unsuback': {
      const codes = (packet.granted ?? []).map((one) => Number(one).toString(16))
      return `${packet.cmd} ${codes.join(',')}`.trim()
    }
    default:
      return `${packet.cmd}${id}${code}`
  }
}

export interface World {
  readonly clock: VirtualClock
  readonly broker: TestBroker
  /** A client that is connected and whose CONNACK was taken. */
  join(clientId: string, fields?: Partial<IConnectPacket>): Promise<RawPeer>
  peer(): RawPeer
}

export function world(version: Version, options: BrokerOptions = {}): World {
  const clock = virtualClock()
  const broker = createBroker({ clock, ...options })
  const peer = (): RawPeer => new RawPeer(broker, version)
  const join = async (clientId: string, fields: Partial<IConnectPacket> = {}): Promise<RawPeer> => {
    const joining = peer()
    joining.connect(clientId, fields)
    await clock.settle()
    joining.packets.shift()
    return joining
  }
  return { clock, broker, peer, join }
}
