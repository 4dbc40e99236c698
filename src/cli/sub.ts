/**
 * `it-mqtt sub`: how do messages get to standard output? A message is acknowledged once it is
 * written.
 */
import { type Command, Option } from 'commander'
import { type Pushable, pushable } from 'it-pushable'
import {
  type Eventloop,
  eventloop,
  type IncomingPublish,
  publish,
  type Request,
  type SubscribeRequest,
  subscribe,
  UsageError,
  unsubscribe,
} from '../index.ts'
import { checkFlags } from './check-flags.ts'
import { FAILED, TIMED_OUT } from './exit-codes.ts'
import { printable, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosFlag,
  qosOption,
  severalTimes,
  topicOfUrl,
} from './flags.ts'
import { ConnectionFollower } from './follow-connection.ts'
import { FormatError, writerOf } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { abandonOutput, isClosedPipe, write } from './output.ts'
import { propertiesOf } from './property-flags.ts'
import {
  addFilterFlags,
  addOutputFlags,
  addReceiveFlags,
  positive,
  type ReceiveFlags,
  selectorOf,
} from './receive-flags.ts'
import { openSavedSession } from './session-file.ts'

interface SubFlags extends ConnectionFlags, ReceiveFlags {
  readonly topic?: readonly string[]
  readonly qos?: '0' | '1' | '2'
  readonly count?: number
  readonly unsubscribe?: readonly string[]
  readonly exitAfterSubscribe?: boolean
  readonly retainedOnly?: boolean
  readonly removeRetained?: boolean
  /** False with `--no-local`. */
  readonly local: boolean
  readonly retainHandling?: keyof typeof RETAIN_HANDLING
}

/** When the server sends retained messages, by the names and numbers that are taken. */
const RETAIN_HANDLING = {
  ...{ always: 0, new: 1, never: 2 },
  ...{ '0': 0, '1': 1, '2': 2 },
} as const satisfies Record<string, 0 | 1 | 2>

/** How often the session is saved. */
const SAVE_EVERY_MS = 1_000

export function addSub(program: Command): void {
  const command = program
    .command('sub')
    .summary('write messages to standard output')
    .description('Write the messages of topics to standard output, each as it comes.')
    .argument('[filters...]', 'the topic filters; as -t')
    .addOption(new Option('-t, --topic <filter>', 'may be repeated').argParser(severalTimes))
    .addOption(qosOption('-q, --qos <qos>', 'the highest QoS to receive (default: 0)'))
    .addOption(
      new Option('-C, --count <count>', 'end after this many messages').argParser(positive),
    )
    .option('-E, --exit-after-subscribe', 'end as soon as the server has answered')
    .option('--retained-only', 'write retained messages, and end at the first that is not')
    .option('--remove-retained', 'remove each retained message at the server, once it is written')
    .addOption(
      new Option('-U, --unsubscribe <filter>', 'unsubscribe from; may be repeated').argParser(
        severalTimes,
      ),
    )
  addReceiveFlags(command)
  command
    .addOption(
      new Option(
        '--retain-handling <when>',
        'when the server sends what is retained: always (0), new (1, only for a subscription ' +
          'that it did not have), never (2)',
      ).choices(Object.keys(RETAIN_HANDLING)),
    )
    .option('--no-local', 'do not receive what this client publishes')
  addFilterFlags(command)
  addOutputFlags(command)
  addConnectionFlags(command, { packets: ['subscribe', 'unsubscribe'] }).action(
    async (filters: string[], flags: SubFlags) => {
      process.exitCode = await sub(filters, flags)
    },
  )
}

async function sub(filters: readonly string[], flags: SubFlags): Promise<number> {
  const subscription = subscriptionOf(filters, flags)
  const follower = new ConnectionFollower(flags.quiet === true)
  const subscriber = new Subscriber(flags, subscription, follower)
  const { file: sessionFile, session } = await openSavedSession(flags.session)
  sessionFile?.refuseUnfinished()
  const loop = eventloop(
    {
      ...connectionOptions(flags, session),
      ...(needsVersion5(flags) ? { protocolVersion: 5 } : {}),
      acks: 'pull',
      until: 'closed',
      onSettled: (request, outcome) => subscriber.settled(request, outcome),
      onWarning: follower.warned,
    },
    subscriber.requests,
  )
  follower.follow(loop)
  const interrupt = new Interrupt(() => subscriber.stop())
  const save = () => sessionFile?.save(loop.session, null)
  let timer: NodeJS.Timeout | undefined
  try {
    await save()
    timer = setInterval(
      () => save()?.catch(({ message }: Error) => flags.quiet || say(message)),
      SAVE_EVERY_MS,
    )
    await subscriber.writeMessages(loop)
  } catch (error) {
    if (!isClosedPipe(error)) return reportFailure(error)
  } finally {
    clearInterval(timer)
    subscriber.close()
    interrupt.close()
    await loop.return()
    await save()
  }
  return interrupt.status || subscriber.conclude()
}

function subscriptionOf(given: readonly string[], flags: SubFlags): SubscribeRequest {
  const fromUrl = topicOfUrl(flags)
  const filters = [...given, ...(flags.topic ?? []), ...(fromUrl === null ? [] : [fromUrl])]
  if (filters.length === 0) {
    throw new UsageError('the filters are missing: write -t filter, or the filter by itself')
  }
  if (flags.skipRetained && flags.retainedOnly) {
    throw new UsageError('-R and --retained-only leave nothing to write; give one of them')
  }
  const { retainHandling: handling } = flags
  if (flags.retainedOnly && handling !== undefined && RETAIN_HANDLING[handling] === 2) {
    throw new UsageError('--retain-handling never leaves nothing to write for --retained-only')
  }
  const version = protocolVersionOf(flags.mqtt)
  const { skipRetained, retainAsPublished, retainHandling, local, mqtt, property } = flags
  // Whether the server speaks MQTT 5 is not known yet unless the user says so. -R also works
  // without the option of MQTT 5, which only saves the messages their way.
  const isVersion5 = property !== undefined || (mqtt !== undefined && version === 5)
  const properties = propertiesOf(property).subscribe
  const request = subscribe(filters, {
    qos: qosFlag(flags.qos),
    ...(skipRetained && isVersion5 && !retainAsPublished ? { rh: 2 } : {}),
    ...(retainHandling === undefined ? {} : { rh: RETAIN_HANDLING[retainHandling] }),
    ...(retainAsPublished ? { rap: true } : {}),
    ...(local ? {} : { nl: true }),
    ...(properties === undefined ? {} : { properties }),
  })
  checkFlags(request, version)
  return request
}

/** Whether an option is given that MQTT 3 does not have. */
function needsVersion5({ retainAsPublished, retainHandling, local }: SubFlags): boolean {
  return retainAsPublished === true || retainHandling !== undefined || !local
}

/** Writes the messages of one loop, and says when it is time to end. */
class Subscriber {
  readonly requests: Pushable<Request>
  readonly #flags: SubFlags
  readonly #subscription: SubscribeRequest
  readonly #textOf: (packet: IncomingPublish) => Buffer
  readonly #selects: (packet: IncomingPublish) => boolean
  readonly #follower: ConnectionFollower
  #loop: Eventloop | null = null
  #isStopped = false
  /** Whether no more messages are wanted, and only removals are waited for. */
  #isFull = false
  #removals = 0
  #written = 0
  #status = 0
  #refusal: unknown
  #timer: NodeJS.Timeout | undefined

  constructor(flags: SubFlags, subscription: SubscribeRequest, follower: ConnectionFollower) {
    this.#flags = flags
    this.#subscription = subscription
    this.#follower = follower
    this.#textOf = writerOf(flags)
    this.#selects = selectorOf(flags)
    this.requests = pushable({ objectMode: true })
    this.requests.push(subscription)
    const { unsubscribe: filters, property } = flags
    const properties = propertiesOf(property).unsubscribe
    if (filters === undefined) {
      if (properties === undefined) return
      throw new UsageError('-D unsubscribe has no effect without -U')
    }
    const request = unsubscribe(filters, properties === undefined ? {} : { properties })
    checkFlags(request, protocolVersionOf(flags.mqtt))
    this.requests.push(request)
  }

  /**
   * Ends the writing, even if the reader of standard output has stalled or the disk is full.
   * Messages that were not written are not acknowledged.
   */
  stop(): void {
    this.#isStopped = true
    this.#loop?.shutdown()
    abandonOutput()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.requests.end()
  }

  /** @returns the exit status; says why it is not 0. */
  conclude(): number {
    if (this.#refusal !== undefined) {
      say(printable(this.#refusal))
      return FAILED
    }
    if (this.#status === TIMED_OUT) say('timed out')
    return this.#status
  }

  settled(request: Request, outcome: { readonly ok: boolean; readonly error?: unknown }): void {
    const isRemoval = request.cmd === 'publish'
    if (isRemoval) this.#removals--
    if (!outcome.ok) this.#refusal ??= outcome.error
    const isDone = request === this.#subscription && this.#flags.exitAfterSubscribe
    if (!outcome.ok || isDone || (this.#isFull && this.#removals === 0)) this.#loop?.shutdown()
  }

  async writeMessages(loop: Eventloop): Promise<void> {
    this.#loop = loop
    if (this.#isStopped) return
    for await (const packet of loop) {
      if (packet.cmd === 'connack') {
        this.#follower.accepted(packet)
        this.#startTimer()
      }
      if (packet.cmd !== 'publish' || this.#isFull) continue
      if (this.#flags.retainedOnly && !packet.retain) this.#isFull = true
      else if (this.#selects(packet)) await this.#take(packet)
      if (this.#isStopped) return
      if (!this.#isFull) continue
      if (packet.qos > 0) loop.ack(packet)
      if (this.#removals === 0) return
    }
  }

  async #take(packet: IncomingPublish): Promise<void> {
    const { count = Number.POSITIVE_INFINITY, removeRetained } = this.#flags
    const text = this.#text(packet)
    const writing = text.length === 0 ? undefined : write(text)
    if (writing !== undefined) await writing
    if (removeRetained && packet.retain) {
      this.#removals++
      this.requests.push(publish(packet.topic, '', { qos: 1, retain: true }))
    }
    this.#isFull = ++this.#written >= count
  }

  #text(packet: IncomingPublish): Buffer {
    try {
      return this.#textOf(packet)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      this.#status = FAILED
      say(error.message)
      return Buffer.alloc(0)
    }
  }

  /** The time of `-W` begins with the first connection. */
  #startTimer(): void {
    const { timeout } = this.#flags
    if (timeout === undefined || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#status = TIMED_OUT
      this.stop()
    }, timeout * 1000)
  }
}
