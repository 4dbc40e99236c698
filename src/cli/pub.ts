/**
 * `it-mqtt pub`: how is one message delivered, once or several times, or each line of standard
 * input?
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Outcome, type PublishRequest, publish, type Request, UsageError } from '../index.ts'
import { checkFlags } from './check-flags.ts'
import { type Delivery, deliver } from './deliver.ts'
import { FAILED, statusOf } from './exit-codes.ts'
import { asSentence, counted, printable, reportFailure, say } from './fail.ts'
import { addConnectionFlags, connectionOptions, number, protocolVersionOf } from './flags.ts'
import { addMessageFlags, linesIn, type MessageFlags, messageFrom } from './message-flags.ts'
import { propertiesOf } from './property-flags.ts'
import { positive } from './receive-flags.ts'
import { openSavedSession } from './session-file.ts'

interface PubFlags extends MessageFlags {
  readonly retain?: boolean
  readonly repeat?: number
  readonly repeatDelay?: number
}

export function addPub(program: Command): void {
  const command = addMessageFlags(program.command('pub'))
    .summary('publish a message')
    .description(
      'Publish a message. With --session, what an earlier run did not deliver comes first.',
    )
    .option('-l, --stdin-line', 'each line of standard input is a message')
    .option('-r, --retain', 'ask the server to retain the message')
    .addOption(
      new Option('--repeat <count>', 'publish the message so many times').argParser(positive),
    )
    .addOption(
      new Option('--repeat-delay <seconds>', 'wait so long between two of them').argParser(delay),
    )
  addConnectionFlags(command, { packets: ['publish'] }).action(async (...given: unknown[]) => {
    const [topic, message, flags] = given as [string | undefined, string | undefined, PubFlags]
    const words = [topic, message].filter((one) => one !== undefined)
    process.exitCode = await pub(words, flags)
  })
}

async function pub(words: readonly string[], flags: PubFlags): Promise<number> {
  const publisher = await Publisher.open(words, flags)
  const { file: sessionFile, session } = await openSavedSession(flags.session)
  sessionFile?.refuseUnfinished()
  const delivery = await deliver({
    options: connectionOptions(flags, session),
    requests: publisher.requests(),
    onSettled: (request, outcome) => publisher.settled(request, outcome),
    onKeep: (isCut) => publisher.hurry(isCut),
    onTrouble: say,
    quiet: flags.quiet === true,
    disconnectTimeout: flags.disconnectTimeout,
    sessionFile,
    position: async () => null,
  })
  return publisher.conclude(delivery, flags.session)
}

class Publisher {
  readonly #make: (payload: string | Buffer) => PublishRequest
  /** Null if each line of standard input is a message. */
  readonly #payload: string | Buffer | null
  readonly #times: number
  readonly #delayMs: number
  /** Messages of this run that are not settled. */
  readonly #mine = new Set<Request>()
  #settledCount = 0
  #mineSettled = 0
  #isGood = true
  #isRead = false
  /** Aborted once messages are to come without waiting for those before. */
  readonly #hurry = new AbortController()
  #isCut = false
  #onSettled: () => void = () => {}

  private constructor(
    make: (payload: string | Buffer) => PublishRequest,
    payload: string | Buffer | null,
    { repeat = 1, repeatDelay = 0 }: PubFlags,
  ) {
    this.#make = make
    this.#payload = payload
    this.#times = repeat
    this.#delayMs = repeatDelay * 1000
  }

  /** @throws UsageError if there is no message, or it cannot be sent. */
  static async open(words: readonly string[], flags: PubFlags): Promise<Publisher> {
    const { topic, qos, payload } = await messageFrom(words, flags)
    if (payload === null && flags.repeat !== undefined) {
      throw new UsageError('--repeat has no effect with -l; give one message with -m, -f or -s')
    }
    if (flags.repeatDelay !== undefined && flags.repeat === undefined) {
      throw new UsageError('--repeat-delay has no effect without --repeat')
    }
    const { publish: properties } = propertiesOf(flags.property)
    const options = {
      ...{ qos, retain: flags.retain ?? false },
      ...(properties === undefined ? {} : { properties }),
    }
    const make = (bytes: string | Buffer) => publish(topic, bytes, options)
    checkFlags(make(payload ?? ''), protocolVersionOf(flags.mqtt))
    return new Publisher(make, payload, flags)
  }

  async *requests(): AsyncGenerator<PublishRequest> {
    if (this.#payload === null) {
      for await (const line of linesIn(process.stdin)) yield this.#next(line)
    } else {
      for (let sent = 0; sent < this.#times; sent++) {
        if (sent > 0) await this.#pause()
        if (sent > 0 && this.#isCut) return
        yield this.#next(this.#payload)
      }
    }
    this.#isRead = true
  }

  #next(payload: string | Buffer): PublishRequest {
    const request = this.#make(payload)
    this.#mine.add(request)
    return request
  }

  /** Resolves once the message before is delivered and the time between two has passed. */
  async #pause(): Promise<void> {
    const { signal } = this.#hurry
    if (this.#mine.size > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve
      })
    }
    await sleep(this.#delayMs, undefined, { ref: false, signal }).catch(() => {})
  }

  /**
   * From now on messages come without a pause.
   * @param isCut Whether the message that is repeated is not repeated again.
   */
  hurry(isCut: boolean): void {
    this.#isCut = isCut
    this.#hurry.abort()
    this.#onSettled()
  }

  settled(request: Request, outcome: Outcome): void {
    this.#settledCount++
    if (this.#mine.delete(request)) this.#mineSettled++
    if (!outcome.ok) {
      this.#isGood = false
      say(`${requestName(request)}: ${printable(outcome.error)}`)
    }
    this.#onSettled()
  }

  /**
   * @param session The path of the session, which keeps what is held; undefined without one.
   * @returns the exit status; says what was not delivered.
   */
  conclude({ error, held, interrupted, status }: Delivery, session: string | undefined): number {
    const mine = this.#payload === null ? this.#mine.size : this.#times - this.#mineSettled
    const others = held.filter((request) => !this.#mine.has(request)).length
    const undelivered = mine + others
    const text = counted(undelivered, 'message')
    const lines = [
      ...(undelivered > 0 ? [`${text} not delivered${keptText(undelivered, held, session)}`] : []),
      ...(this.#isRead || this.#payload !== null ? [] : ['standard input was not read to its end']),
    ]
    if (error === undefined) for (const line of lines) say(line)
    else {
      if (error instanceof UsageError || this.#settledCount + held.length === 0)
        return reportFailure(error)
      say([asSentence(printable(error)), lines.join('; ')].join(' '))
      return statusOf(error)
    }
    if (interrupted) return status
    return undelivered > 0 || !this.#isGood || !this.#isRead ? FAILED : 0
  }
}

function keptText(
  undelivered: number,
  { length }: readonly Request[],
  session: string | undefined,
): string {
  if (session === undefined || length === 0) return ''
  const all = length === 1 ? 'it' : 'them'
  const which = length === undelivered ? all : `${length.toLocaleString('en')} of them`
  return `; the session ${session} keeps ${which} for the next run`
}

function delay(text: string): number {
  const value = number(text)
  if (value < 0) throw new InvalidArgumentError('A number of seconds is expected.')
  return value
}

function requestName(request: { readonly cmd: string; readonly topic?: string }): string {
  return request.topic === undefined ? request.cmd : `message for ${request.topic}`
}
