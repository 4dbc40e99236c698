/** A strict program in TypeScript: it is compiled, not run. */
import {
  type ConnackPacket,
  ConnectionError,
  type Control,
  connect,
  type DisconnectPacket,
  decodeSession,
  type ErrorCode,
  type Eventloop,
  type EventloopOptions,
  encodeSession,
  eventloop,
  type Incoming,
  type IncomingPublish,
  MqttError,
  matches,
  type Outcome,
  publish,
  RefusedError,
  type Request,
  run,
  type Session,
  subscribe,
  text as textOf,
  UsageError,
  unsubscribe,
  type WarningCode,
} from 'it-mqtt'

const options: EventloopOptions = {
  url: new URL('mqtts://user:password@localhost'),
  protocolVersion: 5,
  reconnect: { when: 'always', minMs: 50, retryable: ({ code }) => code !== 'ENOTFOUND' },
  will: { topic: 'gone', payload: 'bye', qos: 1 },
  acks: 'manual',
  tls: { rejectUnauthorized: true },
  username: process.env.MQTT_USER,
  onConnected: (connack: ConnackPacket) => [publish('birth', String(connack.sessionPresent))],
  onWarning: ({ code }) => {
    const stalled: WarningCode = 'CONSUMER_STALLED'
    if (code === stalled) console.error(matches('a/+', 'a/b'))
  },
  onSettled: (request: Request, outcome: Outcome) => {
    if (!outcome.ok) console.error(request.cmd, outcome.error)
  },
}

async function* requests(): AsyncGenerator<Request | readonly Request[]> {
  yield subscribe([{ topic: 'a/#', qos: 1, nl: true }, 'b'], { qos: 2 })
  yield [publish('a/b', new Uint8Array(3), { qos: 1, key: 7 }), unsubscribe('b')]
  yield { cmd: 'publish', topic: 'c', payload: { base64: 'AP8=' } }
  yield { cmd: 'throttle', perSecond: 10 }
}

const controls: Control[] = [{ cmd: 'ping' }]

export async function consume(): Promise<Session> {
  const loop: Eventloop = eventloop(options, requests(), controls)
  for await (const packet of loop) handle(loop, packet)
  const session: Session = decodeSession(encodeSession(loop.session))
  const { settled, failed, unsettled } = await run({ ...options, session }, [publish('a')], {
    timeout: 1000,
  })
  const counts: number[] = [settled, failed.length, unsettled.length]
  console.log(counts, loop.state.connection.kind)
  return session
}

function handle(loop: Eventloop, packet: Incoming): void {
  if (packet.cmd === 'publish') {
    const message: IncomingPublish = packet
    const said: string = textOf(message.payload)
    const answer: 'queued' | 'stale' = loop.ack(message)
    console.log(said, answer)
  }
  if (packet.cmd === 'puback') {
    const { request } = packet
    console.log(request.topic)
  }
  if (packet.cmd === 'suback') {
    console.log(packet.granted.map((code: number) => code >= 0x80))
    for (const { topic } of packet.request.subscriptions) console.log(topic)
  }
  if (packet.cmd === 'disconnect') {
    const last: DisconnectPacket = packet
    console.log(last.reasonCode)
  }
}

export async function first(): Promise<void> {
  try {
    const connected = await connect('mqtt://localhost')
    for await (const packet of eventloop(connected)) console.log(packet.cmd)
  } catch (error) {
    if (error instanceof UsageError || error instanceof ConnectionError) throw error
    if (error instanceof RefusedError) console.log(error.reasonCode)
    const offline: ErrorCode = 'NETWORK_OFFLINE'
    if (error instanceof MqttError) console.log(error.code === offline, error.code, error.retryable)
  }
}

// @ts-expect-error A QoS is 0, 1 or 2.
publish('a', 'b', { qos: 3 })
// @ts-expect-error Options are known by name.
eventloop({ url: 'mqtt://localhost', clientID: 'x' })

import {
  type FileRequestsOptions,
  fileRequests,
  openSession,
  type Spool,
  spool,
} from 'it-mqtt/disk'

export async function onDisk(options: FileRequestsOptions): Promise<Spool> {
  const queue = await spool('./queue', { mode: 'spill', maxMessages: 10, overflow: 'reject' })
  eventloop({ url: 'mqtt://localhost', session: await openSession('./session') }, queue)
  eventloop('mqtt://localhost', fileRequests('./lines', options))
  const accepted: number = await queue.push([])
  return accepted === 0 ? queue : spool('./other')
}

import { type Codec, json, type ParamsOf, type Topic, text, topic } from 'it-mqtt/client'

const temperature: Topic<ParamsOf<'plant/{line}/temp'>, string> = topic('plant/{line}/temp', {
  codec: text,
  qos: 1,
})
const line: string | undefined = temperature.match(temperature.fill({ line: 7 }))?.line
const codec: Codec<unknown> = json
console.log(line, codec.contentType)
// @ts-expect-error There is no parameter `lime`.
temperature.fill({ lime: 'a' })
