/**
 * The floor through a broker: packets made in advance, acknowledged by hand, on a raw socket.
 */
import { connect, type Socket } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'

type QoS = 0 | 1 | 2

const MQTT5 = { protocolVersion: 5 }

/** A subscriber and publisher of one topic. */
export class RawClient {
  readonly #socket: Socket
  readonly #topic: string
  readonly #qos: QoS
  #messageId = 0
  #rest: Buffer | null = null
  onMessage: (payload: Buffer) => void = () => {}
  onSettled: () => void = () => {}
  #onSubscribed: () => void

  constructor(port: number, topic: string, qos: QoS, onSubscribed: () => void) {
    this.#topic = topic
    this.#qos = qos
    this.#onSubscribed = onSubscribed
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('data', (chunk) => this.#read(chunk))
    this.#send({ cmd: 'connect', clientId: `raw-${process.pid}`, protocolVersion: 5 } as Packet)
    const subscriptions = [{ topic, qos }]
    this.#send({ cmd: 'subscribe', messageId: 1, subscriptions } as Packet)
  }

  /** Publishes, many in one write if that is asked for. */
  publish(payloads: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(payloads.map((payload) => this.#publishOf(payload))))
  }

  #send(packet: Packet): void {
    this.#socket.write(mqtt.generate(packet, MQTT5))
  }

  #publishOf(payload: Buffer): Buffer {
    const topic = Buffer.from(this.#topic)
    const length = 2 + topic.length + (this.#qos > 0 ? 2 : 0) + 1 + payload.length
    const head = [0x30 | (this.#qos << 1)]
    for (let left = length; ; left >>>= 7) {
      head.push(left > 127 ? (left & 127) | 128 : left)
      if (left <= 127) break
    }
    const id = this.#qos === 0 ? [] : this.#nextId()
    return Buffer.concat([
      Buffer.from([...head, 0, topic.length]),
      topic,
      Buffer.from([...id, 0]),
      payload,
    ])
  }

  #nextId(): [number, number] {
    this.#messageId = (this.#messageId % 65_000) + 1
    return [this.#messageId >> 8, this.#messageId & 255]
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    const answers: number[] = []
    let at = 0
    while (bytes.length - at >= 2) {
      let length = 0
      let body = at + 1
      for (let shift = 0; body < bytes.length; shift += 7) {
        length |= (bytes[body]! & 127) << shift
        if (bytes[body++]! < 128) break
      }
      if (bytes[body - 1]! > 127 || bytes.length - body < length) break
      this.#take(bytes[at]!, bytes.subarray(body, body + length), answers)
      at = body + length
    }
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : null
    if (answers.length > 0) this.#socket.write(Buffer.from(answers))
  }

  #take(head: number, body: Buffer, answers: number[]): void {
    const [high = 0, low = 0] = body
    switch (head >> 4) {
      case 3: {
        const qos = (head >> 1) & 3
        const end = 2 + ((high << 8) | low)
        if (qos > 0) answers.push(qos === 1 ? 0x40 : 0x50, 2, body[end]!, body[end + 1]!)
        // The length of the properties is 0.
        return this.onMessage(body.subarray(end + (qos > 0 ? 3 : 1)))
      }
      case 5:
        answers.push(0x62, 2, high, low)
        return
      case 6:
        answers.push(0x70, 2, high, low)
        return
      case 4:
      case 7:
        return this.onSettled()
      case 9:
        return this.#onSubscribed()
      default:
    }
  }
}
