/**
 * The other end of bench/scale: an MQTT 5 server that keeps sessions and does little else. server PORT
 *
 * - PUBLISH at QoS 1 is acknowledged, unless its topic begins with `hold/`; one on `cut` resets the connection.
 * - After `hold/` was seen HELD times on a resumed session, a message on `done` tells so: see REPLAY.
 * - SUBSCRIBE to `blast/COUNT/SIZE` is answered with COUNT messages at QoS 0 and one on `done`.
 * Payloads are skipped, not kept: a PUBLISH of 100 MB costs nothing here.
 */
import { createServer, type Socket } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'

/** PUBLISH packets on `hold/` that make a replay complete. */
const REPLAY = 60_000
const PIECE_BYTES = 65_536
/** The longest head of a PUBLISH: what is needed to tell its topic and identifier. */
const HEAD_BYTES = 128

const known = new Set<string>()
const encode = (packet: Packet) => mqtt.generate(packet, { protocolVersion: 5 })

function message(topic: string, size: number): Buffer {
  const payload = Buffer.alloc(size, 65)
  return encode({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false })
}

class Peer {
  readonly #socket: Socket
  readonly #parser = mqtt.parser({ protocolVersion: 5 })
  #rest: Buffer = Buffer.alloc(0)
  /** Bytes of a payload that are still to come. */
  #skip = 0
  #held = 0
  #resumed = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.#parser.on('packet', (packet) => this.#rare(packet))
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    socket.on('error', () => {})
  }

  #data(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    const acks: Buffer[] = []
    let at = 0
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at)
        this.#skip -= skipped
        at += skipped
        continue
      }
      let length = 0
      let p = at + 1
      let more = true
      for (let shift = 0; more && p < bytes.length; shift += 7) {
        length |= (bytes[p]! & 0x7f) << shift
        more = bytes[p++]! >= 0x80
      }
      if (more) break
      const whole = bytes.length - p >= length
      if (!whole && bytes.length - at < HEAD_BYTES) break
      if (bytes[at]! >> 4 === 3) this.#publish(bytes, at, p, acks)
      else if (whole) this.#parser.parse(bytes.subarray(at, p + length))
      else break
      this.#skip = whole ? 0 : length - (bytes.length - p)
      at = whole ? p + length : bytes.length
    }
    this.#rest = bytes.subarray(at)
    if (acks.length > 0) this.#socket.write(Buffer.concat(acks))
  }

  #publish(bytes: Buffer, at: number, p: number, acks: Buffer[]): void {
    const topicBytes = bytes.readUInt16BE(p)
    const topic = bytes.toString('latin1', p + 2, p + 2 + topicBytes)
    if (topic === 'cut') return void this.#socket.resetAndDestroy()
    if (topic.startsWith('hold/')) {
      this.#held++
      if (this.#resumed && this.#held === REPLAY) this.#socket.write(message('done', 1))
      return
    }
    if (((bytes[at]! >> 1) & 3) === 0) return
    const id = p + 2 + topicBytes
    acks.push(Buffer.from([0x40, 2, bytes[id]!, bytes[id + 1]!]))
  }

  #rare(packet: Packet): void {
    switch (packet.cmd) {
      case 'connect': {
        this.#resumed = !packet.clean && known.has(packet.clientId)
        known.add(packet.clientId)
        const properties = { receiveMaximum: 65_535 }
        const connack = { cmd: 'connack', reasonCode: 0, properties } as const
        this.#socket.write(encode({ ...connack, sessionPresent: this.#resumed }))
        return
      }
      case 'subscribe': {
        const granted = packet.subscriptions.map(() => 0)
        this.#socket.write(encode({ cmd: 'suback', messageId: packet.messageId!, granted }))
        const [, count, size] = /^blast\/(\d+)\/(\d+)$/.exec(packet.subscriptions[0]!.topic) ?? []
        if (count !== undefined) setImmediate(() => this.#blast(Number(count), Number(size)))
        return
      }
      case 'pingreq':
        this.#socket.write(encode({ cmd: 'pingresp' }))
        return
      case 'disconnect':
        this.#socket.end()
    }
  }

  #blast(count: number, size: number): void {
    const one = message('sensors/room/1/temp', size)
    const many = Math.max(1, Math.floor(PIECE_BYTES / one.length))
    const piece = Buffer.concat(Array<Buffer>(many).fill(one))
    let sent = 0
    const more = () => {
      while (sent < count) {
        const some = Math.min(many, count - sent)
        sent += some
        const bytes = piece.subarray(0, some * one.length)
        if (!this.#socket.write(bytes) && sent < count) return void this.#socket.once('drain', more)
      }
      this.#socket.write(message('done', 1))
    }
    more()
  }
}

createServer({ noDelay: true }, (socket) => void new Peer(socket)).listen({
  port: Number(process.argv[2]),
  host: '127.0.0.1',
  backlog: 1024,
})
