/**
 * `it-mqtt rr`: what is the answer to one request? The request is published once the server has
 * taken the subscription to the response topic; the first answer is written. With MQTT 5 the
 * request says where the answer goes, and carries correlation data, so that an answer to somebody
 * else is passed over.
 */
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { type Pushable, pushable } from 'it-pushable'
import {
  type Eventloop,
  eventloop,
  type IncomingPublish,
  type Outcome,
  type PublishProperties,
  publish,
  type Request,
  subscribe,
  UsageError,
} from '../index.ts'
import { checkFlags } from './check-flags.ts'
import { FAILED, TIMED_OUT } from './exit-codes.ts'
import { printable, reportFailure, say } from './fail.ts'
import { addConnectionFlags, connectionOptions, protocolVersionOf } from './flags.ts'
import { ConnectionFollower } from './follow-connection.ts'
import { FormatError, writerOf } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { addMessageFlags, type MessageFlags, messageFrom } from './message-flags.ts'
import { abandonOutput, isClosedPipe, write } from './output.ts'
import { propertiesOf } from './property-flags.ts'
import { addOutputFlags, addReceiveFlags, type ReceiveFlags, selectorOf } from './receive-flags.ts'
import { openSavedSession } from './session-file.ts'

interface RrFlags extends MessageFlags, ReceiveFlags {
  readonly responseTopic?: string
}

/** How many random bytes tell this request from others. */
const CORRELATION_BYTES = 8

export function addRr(program: Command): void {
  const command = addMessageFlags(program.command('rr'))
    .summary('publish a request and write the response')
    .description('Publish a request, and write the first response to it.')
    .option('-e, --response-topic <topic>', 'where the response comes')
  addReceiveFlags(command)
  addOutputFlags(command)
  addConnectionFlags(command, { packets: ['publish', 'subscribe'] }).action(
    async (...given: unknown[]) => {
      const [topic, message, flags] = given as [string | undefined, string | undefined, RrFlags]
      const words = [topic, message].filter((one) => one !== undefined)
      process.exitCode = await rr(words, flags)
    },
  )
}

async function rr(words: readonly string[], flags: RrFlags): Promise<number> {
  const requester = await RoundTrip.open(words, flags)
  const { file: sessionFile, session } = await openSavedSession(flags.session)
  sessionFile?.refuseUnfinished()
  const follower = new ConnectionFollower(flags.quiet === true)
  const loop = eventloop(
    {
      ...connectionOptions(flags, session),
      ...(flags.retainAsPublished ? { protocolVersion: 5 } : {}),
      until: 'closed',
      onSettled: (request, outcome) => requester.settled(request, outcome),
      onWarning: follower.warned,
    },
    requester.requests,
  )
  follower.follow(loop)
  const interrupt = new Interrupt(() => requester.stop())
  try {
    await requester.exchange(loop, follower)
  } catch (error) {
    if (!isClosedPipe(error)) return reportFailure(error)
  } finally {
    requester.close()
    interrupt.close()
    await loop.return()
    await sessionFile?.save(loop.session, null)
  }
  return interrupt.status || requester.conclude()
}

class RoundTrip {
  readonly requests: Pushable<Request> = pushable({ objectMode: true })
  readonly #flags: RrFlags
  readonly #responseTopic: string
  readonly #make: (properties: PublishProperties | undefined) => Request
  readonly #properties: PublishProperties
  readonly #textOf: (packet: IncomingPublish) => Buffer
  readonly #selects: (packet: IncomingPublish) => boolean
  #loop: Eventloop | null = null
  #status = 0
  #failure: unknown
  #timer: NodeJS.Timeout | undefined

  private constructor(
    flags: RrFlags,
    responseTopic: string,
    make: (properties: PublishProperties | undefined) => Request,
  ) {
    this.#flags = flags
    this.#responseTopic = responseTopic
    this.#make = make
    const { publish: given, subscribe: properties } = propertiesOf(flags.property)
    if (given?.responseTopic !== undefined) {
      throw new UsageError('-D publish response-topic and -e exclude each other; leave out -D')
    }
    this.#properties = {
      responseTopic,
      correlationData: randomBytes(CORRELATION_BYTES),
      ...given,
    }
    this.#textOf = writerOf(flags)
    this.#selects = selectorOf(flags)
    const version = protocolVersionOf(flags.mqtt)
    const subscription = subscribe(responseTopic, {
      qos: Number(flags.qos ?? 0) as 0 | 1 | 2,
      ...(flags.retainAsPublished ? { rap: true } : {}),
      ...(properties === undefined ? {} : { properties }),
    })
    checkFlags(subscription, version, { topic: '-e' })
    checkFlags(make(version === 5 ? this.#properties : undefined), version, {
      'publish.properties.responseTopic': '-e',
    })
    this.requests.push(subscription)
  }

  static async open(words: readonly string[], flags: RrFlags): Promise<RoundTrip> {
    const { responseTopic } = flags
    if (responseTopic === undefined) {
      throw new UsageError('the response topic is missing: write -e topic')
    }
    const { topic, qos, payload } = await messageFrom(words, flags)
    return new RoundTrip(flags, responseTopic, (properties) =>
      publish(topic, payload ?? '', { qos, ...(properties === undefined ? {} : { properties }) }),
    )
  }

  /** Ends the command, even if the reader of standard output has stalled or the disk is full. */
  stop(): void {
    this.#loop?.shutdown()
    abandonOutput()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.requests.end()
  }

  settled(request: Request, outcome: Outcome): void {
    if (!outcome.ok) {
      this.#failure ??= outcome.error
      this.#loop?.shutdown()
    } else if (request.cmd === 'subscribe') {
      const isVersion5 = this.#loop?.state.connection.protocolVersion === 5
      this.requests.push(this.#make(isVersion5 ? this.#properties : undefined))
    }
  }

  async exchange(loop: Eventloop, follower: ConnectionFollower): Promise<void> {
    this.#loop = loop
    for await (const packet of loop) {
      if (packet.cmd === 'connack') {
        follower.accepted(packet)
        this.#startTimer()
      }
      if (packet.cmd !== 'publish' || !this.#isAnswer(packet)) continue
      const text = this.#text(packet)
      if (text.length > 0) await write(text)
      if (packet.qos > 0) loop.ack(packet)
      return
    }
  }

  #isAnswer(packet: IncomingPublish): boolean {
    if (packet.topic !== this.#responseTopic || !this.#selects(packet)) return false
    const { correlationData } = packet.properties ?? {}
    const ours = this.#properties.correlationData
    if (correlationData === undefined || !(ours instanceof Uint8Array)) return true
    return Buffer.compare(correlationData, ours) === 0
  }

  #text(packet: IncomingPublish): Buffer {
    try {
      return this.#textOf(packet)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      this.#failure = error.message
      return Buffer.alloc(0)
    }
  }

  #startTimer(): void {
    const { timeout } = this.#flags
    if (timeout === undefined || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#status = TIMED_OUT
      this.stop()
    }, timeout * 1000)
  }

  conclude(): number {
    if (this.#failure !== undefined) {
      say(printable(this.#failure))
      return FAILED
    }
    if (this.#status === TIMED_OUT) say('timed out')
    return this.#status
  }
}
