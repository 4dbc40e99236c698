/**
 * How does `inspect` look on? With a connection and no session, without a Shared Subscription, and
 * with acknowledgements at once, so that it neither takes nor delays what others get. A reader who
 * is too slow misses lines, and is told so, and memory stays bounded.
 */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { type InspectedKind, inspectFilters, inspectMessage } from '../../bus/index.ts'
import {
  type Client,
  createClient,
  hostOf,
  type Message,
  type Subscription,
} from '../../client/index.ts'
import { MqttError, UsageError } from '../../index.ts'
import { FAILED } from '../exit-codes.ts'
import { counted, oneLine, reportFailure, say } from '../fail.ts'
import { connectionOptions } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { abandonOutput, isClosedPipe, write } from '../output.ts'
import type { InspectFlags, InspectFormat } from './inspect-flags.ts'
import { InspectValidity } from './inspect-validity.ts'
import { type InspectedMessage, inspectedText, inspectSelector } from './inspected-text.ts'

/** More bytes than this do not wait for who reads standard output. */
const UNREAD_BYTES_MAX = 67_108_864
const TIMEOUT_MAX_MS = 86_400_000
const LATE = Symbol('late')
/** What is said before anything is written. */
const NO_HISTORY =
  'MQTT keeps no history: this is what is retained, and what comes from now on; dead letters ' +
  'that wait for redrive are in a session that others cannot read'

/** @returns the exit status. */
export async function inspect(flags: InspectFlags): Promise<number> {
  let client: Client | null = null
  const ending = new AbortController()
  const interrupt = new Interrupt(() => {
    ending.abort()
    abandonOutput()
  })
  try {
    const { timeout, follow, quiet } = flags
    if (!(timeout > 0 && timeout <= TIMEOUT_MAX_MS)) {
      throw new UsageError(`--timeout must be more than 0 and at most ${TIMEOUT_MAX_MS} ms`)
    }
    const validity = flags.validate ? await InspectValidity.open(flags) : null
    const writer = new InspectWriter(flags, validity, (error) => ending.abort(error))
    client = onlooker(flags)
    const { signal } = ending
    const until = performance.now() + timeout
    const read = validity?.listen(hostOf(client))
    if (read !== undefined && (await within(read, until, signal)) === LATE) {
      say(`after ${timeout} ms it is not known whether all schema documents have come`)
    }
    const messages = client.subscribe(wantedFilters(flags), { qos: 1, acks: 'receipt', signal })
    if ((await within(messages.granted, until, signal)) === LATE) {
      say(`the server has not answered within ${timeout} ms`)
      return FAILED
    }
    if (!quiet) say(NO_HISTORY)
    const reading = writer.writeAll(messages)
    if (follow) await reading
    else await Promise.race([retained(messages, until, signal, timeout), reading])
    await messages.return()
    await reading
    await writer.written()
    return interrupt.status || writer.conclude()
  } catch (error) {
    const reason: unknown = ending.signal.aborted ? ending.signal.reason : error
    if (interrupt.caught || isClosedPipe(reason)) return interrupt.status
    return reportFailure(causeIn(reason))
  } finally {
    await client?.close({ timeout: flags.disconnectTimeout || 1 }).catch(() => {})
    interrupt.close()
  }
}

function wantedFilters({ prefix, api, dead, event, id, where }: InspectFlags): readonly string[] {
  const isOfEvents = [event, id, where].some((one) => one !== undefined)
  const kinds: readonly InspectedKind[] = isOfEvents
    ? ['event', 'dead']
    : ['event', 'dead', 'schema']
  return inspectFilters({ prefix, api, kinds: dead ? ['dead'] : kinds })
}

function onlooker(flags: InspectFlags): Client {
  const options = connectionOptions(flags, null)
  const isVersion5 = options.protocolVersion === undefined || options.protocolVersion === 5
  return createClient({
    ...{ ...options, cleanStart: true },
    ...(isVersion5 ? { sessionExpiryInterval: 0 } : {}),
    onWarning: ({ message }) => {
      if (!flags.quiet) say(oneLine(message))
    },
  })
}

/** Resolves when all that is retained has come, or the time is over. */
async function retained(
  messages: Subscription<object>,
  until: number,
  signal: AbortSignal,
  timeout: number,
): Promise<void> {
  const synced = messages.synced.catch((error: unknown) => {
    if (error instanceof MqttError && error.code === 'TIMEOUT') return LATE
    throw error
  })
  if ((await within(synced, until, signal)) === LATE) {
    say(`after ${timeout} ms it is not known whether all that is retained has come`)
  }
  while (messages.state.waiting > 0) await turn()
}

/** @returns what it resolves with, or `LATE` at a time. @throws what it rejects with. */
async function within<T>(
  promise: Promise<T>,
  until: number,
  signal: AbortSignal,
): Promise<T | typeof LATE> {
  const over = new AbortController()
  const late = pause(Math.max(1, until - performance.now()), LATE, {
    signal: AbortSignal.any([over.signal, signal]),
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}

/** @returns the error that ended the client, if another one only says that it has ended. */
function causeIn(error: unknown): unknown {
  const isEnd = error instanceof MqttError && error.code === 'ENDED'
  return isEnd && error.cause instanceof Error ? error.cause : error
}

class InspectWriter {
  readonly #flags: InspectFlags
  readonly #validity: InspectValidity | null
  readonly #format: InspectFormat
  readonly #selects: (shown: InspectedMessage) => boolean
  #shown = 0
  #missed = 0
  #unreadBytes = 0
  readonly #failed: (error: unknown) => void
  #last: Promise<void> | undefined

  /** @param failed is called when nothing more can be written. */
  constructor(
    flags: InspectFlags,
    validity: InspectValidity | null,
    failed: (error: unknown) => void,
  ) {
    this.#flags = flags
    this.#validity = validity
    this.#failed = failed
    this.#format = flags.format ?? (flags.json ? 'json' : 'human')
    this.#selects = inspectSelector(flags)
  }

  /** Writes messages until there are no more. */
  async writeAll(messages: AsyncIterable<Message<object>>): Promise<void> {
    for await (const message of messages) this.#take(message)
  }

  /** Resolves when everything is written. */
  async written(): Promise<void> {
    await this.#last
  }

  /** @returns the exit status; says why it is not 0. */
  conclude(): number {
    if (this.#missed > 0) {
      say(`${counted(this.#missed, 'message')} not written: standard output is read too slowly`)
    }
    if (this.#shown > 0) return 0
    if (!this.#flags.follow) say('nothing of this is retained; --follow waits for what comes')
    return FAILED
  }

  #take(message: Message<object>): void {
    const what = inspectMessage(message, this.#flags.prefix)
    if (what === null) return
    const { payload, retain: isRetained } = message
    const found = { what, payload, isRetained, now: Date.now(), validity: null }
    if (!this.#selects(found)) return
    const shown = { ...found, validity: this.#validity?.of(found) ?? null }
    const text = inspectedText(shown, this.#format)
    if (this.#unreadBytes + text.length > UNREAD_BYTES_MAX) {
      this.#missed++
      return
    }
    this.#shown++
    const writing = write(text)
    if (writing === undefined) return
    this.#unreadBytes += text.length
    this.#last = writing
    writing.then(() => {
      this.#unreadBytes -= text.length
    }, this.#failed)
  }
}
