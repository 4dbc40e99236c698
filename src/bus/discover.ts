/**
 * Which processes are there? All are asked together, and those that answer in time are yielded.
 * (B20, who is there can be found out)
 */
import { ConnectionError, ProtocolError, RefusedError, UsageError } from '../index.ts'
import { checkApiName, checkBusName, isProcessName } from './bus-names.ts'
import { type BusParts, checkWholeNumber } from './bus-parts.ts'
import { controlTopic, readControlAnswer } from './control-wire.ts'
import { checkFieldNames } from './define-api.ts'
import type { DiscoveredProcess, DiscoverOptions } from './discover-types.ts'

const DISCOVER_FIELDS = ['api', 'service', 'process', 'timeoutMs', 'max', 'signal']
const DISCOVER_MS = 1000
const DISCOVER_MAX_MS = 86_400_000
const PROCESSES = 10_000
const PROCESSES_MAX = 100_000
/** An answer that refuses ends a request for all: then it is sent again, so often in all. */
const ASKS_MAX = 3

/** @throws UsageError for an option that cannot be used. */
export function discoverProcesses(
  bus: BusParts,
  options: DiscoverOptions = {},
): AsyncIterableIterator<DiscoveredProcess, undefined> {
  checkFieldNames('discover: options', options, DISCOVER_FIELDS)
  const { api, service, process, max = PROCESSES } = options
  if (api !== undefined) checkApiName(api, 'discover: api')
  if (service !== undefined) checkBusName('discover: service', service)
  if (process !== undefined && service === undefined) {
    throw new UsageError('discover: process needs service, as each service names its processes')
  }
  if (process !== undefined && !isProcessName(process)) {
    throw new UsageError('discover: process must be a text of 1 to 200 characters')
  }
  const { timeoutMs = DISCOVER_MS } = options
  checkWholeNumber('discover: timeoutMs', timeoutMs, 1, DISCOVER_MAX_MS)
  checkWholeNumber('discover: max', max, 1, PROCESSES_MAX)
  return new Discovery(bus, { ...options, timeoutMs, max }).run()
}

interface DiscoverPlan extends DiscoverOptions {
  readonly timeoutMs: number
  readonly max: number
}

class Discovery {
  readonly #bus: BusParts
  readonly #options: DiscoverPlan
  readonly #seen = new Set<string>()
  #yielded = 0
  #passedOver = 0
  #why = ''

  constructor(bus: BusParts, options: DiscoverPlan) {
    this.#bus = bus
    this.#options = options
  }

  async *run(): AsyncGenerator<DiscoveredProcess, undefined> {
    const { client, clock } = this.#bus
    const { timeoutMs, signal, max } = this.#options
    // Without a connection nobody is asked, and that is not the same as nobody is there.
    await client.ready({ signal, timeout: timeoutMs })
    const endsAt = clock.now() + timeoutMs
    try {
      for (let asks = 0; asks < ASKS_MAX; asks++) {
        // The clock has fractions of a millisecond.
        const left = Math.ceil(endsAt - clock.now())
        if (left <= 0) return
        try {
          for await (const one of this.#ask(left)) {
            yield one
            if (++this.#yielded >= max) return
          }
          return
        } catch (error) {
          if (isNobody(error)) return
          if (!isOfStranger(error)) throw error
          this.#passOver(error.message)
        }
      }
    } finally {
      this.#tell()
    }
  }

  async *#ask(timeout: number): AsyncGenerator<DiscoveredProcess, undefined> {
    const { api, service, process, signal } = this.#options
    const topic = controlTopic(this.#bus.prefix, 'STATS', service, process)
    const answers = this.#bus.client.requestMany(topic, undefined, { timeout, signal })
    for await (const { payload } of answers) {
      const read = readControlAnswer(payload)
      if (typeof read === 'string') {
        this.#passOver(read)
        continue
      }
      const name = JSON.stringify([read.service, read.process])
      // More names than this are not remembered, so that strangers cannot fill the memory.
      if (this.#seen.has(name) || this.#seen.size >= PROCESSES_MAX) continue
      this.#seen.add(name)
      if (service !== undefined && read.service !== service) continue
      if (process !== undefined && read.process !== process) continue
      if (api === undefined) yield read
      else {
        const apis = read.apis.filter((one) => one.name === api)
        if (apis.length > 0) yield { ...read, apis }
      }
    }
  }

  #passOver(why: string): void {
    this.#passedOver++
    if (this.#passedOver === 1) this.#why = why
  }

  /** Once, however many there were. */
  #tell(): void {
    const count = this.#passedOver
    if (count === 0) return
    const what = `discover: ${count} of the answers ${count === 1 ? 'was' : 'were'} passed over`
    this.#bus.warn('ANSWER_PASSED_OVER', `${what}; the first one: ${this.#why}`)
  }
}

/** @returns whether the request says that nobody has answered. */
export function isNobody(error: unknown): boolean {
  if (error instanceof RefusedError) return error.code === 'NO_RESPONDERS'
  return error instanceof ConnectionError && error.code === 'TIMEOUT' && error.linkLost !== true
}

/** @returns whether somebody has answered as no process of a bus does. */
export function isOfStranger(error: unknown): error is Error {
  if (error instanceof RefusedError) return error.remote !== undefined
  if (error instanceof ProtocolError) return error.code === 'INVALID_RESPONSE'
  return error instanceof ConnectionError && error.code === 'STREAM_GAP'
}
