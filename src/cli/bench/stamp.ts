/**
 * What does a message of a bench carry, so that whoever receives it can count and measure? Its
 * payload begins with 32 bytes:
 *
 * | bytes | meaning |
 * | --- | --- |
 * | 0–3 | says that this is a message of a bench |
 * | 4–7 | the run |
 * | 8–11 | the stream: one publisher and one of its topics |
 * | 12–15 | the number of the message in its stream, from 0 |
 * | 16–23 | when it was due, in ms since 1970, as a double |
 * | 24–31 | when it was sent, likewise |
 */
import type { PublishProperties, QoS } from '../../index.ts'

export const STAMP_BYTES = 32
const MAGIC = 0x69_74_6d_62

/** Runs are numbers below this, so that a run and a stream fit into one number. */
export const RUNS = 2 ** 20

const ORIGIN = performance.timeOrigin

/** @returns milliseconds since 1970 that never go back within this process. */
export function clockNow(): number {
  return ORIGIN + performance.now()
}

export function writeStamp(
  payload: Buffer,
  run: number,
  stream: number,
  sequence: number,
  dueAt: number,
  sentAt: number,
): void {
  payload.writeUInt32BE(MAGIC, 0)
  payload.writeUInt32BE(run, 4)
  payload.writeUInt32BE(stream, 8)
  payload.writeUInt32BE(sequence >>> 0, 12)
  payload.writeDoubleBE(dueAt, 16)
  payload.writeDoubleBE(sentAt, 24)
}

export function isStamped(payload: Buffer): boolean {
  return payload.length >= STAMP_BYTES && payload.readUInt32BE(0) === MAGIC
}

/** @returns one number for the run and the stream. */
export function streamKey(run: number, stream: number): number {
  return run * 2 ** 32 + stream
}

export function keyIn(payload: Buffer): number {
  return streamKey(payload.readUInt32BE(4), payload.readUInt32BE(8))
}

export function sequenceIn(payload: Buffer): number {
  return payload.readUInt32BE(12)
}

export function dueAtIn(payload: Buffer): number {
  return payload.readDoubleBE(16)
}

export function sentAtIn(payload: Buffer): number {
  return payload.readDoubleBE(24)
}

/**
 * A publish that remembers when it was due and sent. These fields are private, so that the loop,
 * which refuses unknown fields, does not see them.
 */
export class TimedPublish {
  readonly cmd = 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PublishProperties | undefined
  readonly #dueAt: number
  readonly #sentAt: number

  constructor(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    properties: PublishProperties | undefined,
    dueAt: number,
    sentAt: number,
  ) {
    this.topic = topic
    this.payload = payload
    this.qos = qos
    this.retain = retain
    this.properties = properties
    this.#dueAt = dueAt
    this.#sentAt = sentAt
  }

  get dueAt(): number {
    return this.#dueAt
  }

  get sentAt(): number {
    return this.#sentAt
  }
}
