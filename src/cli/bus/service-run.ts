/**
 * How does a service live? A run that a listener or a task ends with an error is followed by the
 * next one, with a bus of its own and after a delay that grows. (B11, a poison event is not in the
 * way for ever; B18, a bus ends in order)
 */
import {
  type Bus,
  type BusFeatures,
  type BusLogger,
  type BusOptions,
  createBus,
  describeBus,
} from '../../bus/index.ts'
import type { ClientOptions } from '../../client/index.ts'
import { MqttError, type Warning } from '../../index.ts'
import { statusOf } from '../exit-codes.ts'
import { ENDING } from '../signals.ts'
import { inWords } from '../words.ts'
import { logLine } from './log-line.ts'
import { ReconnectNews } from './reconnect-news.ts'
import type { RegisterService } from './service-module.ts'

const DELAY_MS_MIN = 1000
const DELAY_MS_MAX = 30_000
/** After a run of this length the delays begin again. */
const GOOD_RUN_MS = 60_000
/** The status after a second signal. */
const INTERRUPTED = 130

const loggerAt =
  (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) =>
    logLine(level, { ...fields }, message)
const LOGGER: BusLogger = {
  ...{ debug: loggerAt('debug'), info: loggerAt('info') },
  ...{ warn: loggerAt('warn'), error: loggerAt('error') },
}

interface LifeFailure {
  readonly error: unknown
  /** Whether it may be the configuration, the server or the module that is wrong. */
  readonly isMistake: boolean
}

export class ServiceRun {
  readonly #register: RegisterService
  readonly #options: BusOptions
  readonly #features: BusFeatures
  #bus: Bus | null = null
  #hasConnected = false
  #signal: string | null = null
  #reconnects: ReconnectNews | null = null
  #hasTold = false
  /** Ends the delay before the next run. */
  #wake = () => {}

  constructor(register: RegisterService, options: BusOptions, features: BusFeatures) {
    this.#register = register
    this.#options = options
    this.#features = features
  }

  /** @returns the exit status, when a signal or an error ended the service. */
  async ended(): Promise<number> {
    const listener = (signal: NodeJS.Signals) => this.#caught(signal)
    for (const signal of ENDING) process.on(signal, listener)
    try {
      return await this.#lives()
    } finally {
      for (const signal of ENDING) process.off(signal, listener)
    }
  }

  async #lives(): Promise<number> {
    let delayMs = DELAY_MS_MIN
    for (let life = 1; ; life++) {
      const startedAt = performance.now()
      const failure = await this.#life(life)
      if (this.#signal !== null) {
        logLine('info', { signal: this.#signal }, 'ended in order')
        return 0
      }
      if (failure === null) {
        logLine('info', { life }, 'the bus was closed by the service itself')
        return 0
      }
      const { error, isMistake } = failure
      logLine(
        'error',
        { life, ...fieldsOfError(error) },
        `the run has ended: ${failureText(error)}`,
      )
      // Nothing has worked yet: to wait would hide what is wrong.
      if (isMistake && !this.#hasConnected) return statusOf(error)
      if (performance.now() - startedAt > GOOD_RUN_MS) delayMs = DELAY_MS_MIN
      logLine('info', { ms: delayMs }, 'the next run begins after a delay')
      await this.#delay(delayMs)
      delayMs = Math.min(2 * delayMs, DELAY_MS_MAX)
      if (this.#signal !== null) return 0
    }
  }

  /** @returns why it ended; null if the bus was closed. */
  async #life(life: number): Promise<LifeFailure | null> {
    let isRunning = false
    try {
      const bus = createBus(this.#busOptions())
      this.#bus = bus
      const { service, process: name } = bus
      this.#reconnects ??= new ReconnectNews(`${service}/${name}`)
      logLine('info', { service, process: name, pid: process.pid, life }, 'begins')
      void this.#tellLosses(bus)
      await this.#register(bus)
      this.#tellUnused(bus)
      bus.hook({
        start: (_, next) => {
          logLine('info', contentsOf(bus), 'runs')
          return next()
        },
      })
      isRunning = true
      if (this.#signal === null) await bus.run(this.#features)
      return null
    } catch (error) {
      return { error, isMistake: !isRunning || error instanceof MqttError }
    } finally {
      await this.#bus?.close().catch((error: unknown) => {
        logLine('error', fieldsOfError(error), `the end of the bus failed: ${failureText(error)}`)
      })
    }
  }

  #busOptions(): BusOptions {
    const client = this.#options.client as ClientOptions
    const onConnected: ClientOptions['onConnected'] = ({ returnCode }, attempt) => {
      // A server of MQTT 3 may have refused a first attempt with MQTT 5.
      const isFirst = attempt <= (returnCode === undefined ? 1 : 2)
      if (!this.#hasConnected) logLine('info', {}, 'connected')
      else if (!isFirst) this.#connectedAgain()
      this.#hasConnected = true
      return []
    }
    const onWarning = ({ code, message, cause }: Warning) =>
      logLine('warn', { ...fieldsOfError(cause), code }, message)
    if (!asksForLog(this.#options)) {
      return { ...this.#options, client: { ...client, onConnected, onWarning } }
    }
    // Warnings come by the logger then, which knows the APIs that are silent.
    const { log = 'warn' } = this.#options
    return { ...this.#options, log, logger: LOGGER, client: { ...client, onConnected } }
  }

  /** Settings for what is not there most likely have a typing error in its name. */
  #tellUnused(bus: Bus): void {
    if (this.#hasTold) return
    this.#hasTold = true
    const { apis, called, listeners } = describeBus(bus)
    const names = listeners.map(({ name }) => name)
    const unused = unknownIn(this.#options.listeners, names)
    if (unused.length > 0) {
      const what = 'the configuration has settings for listeners that register() has not made'
      logLine('warn', { unused, listeners: names }, what)
    }
    const known = [...new Set([...apis.map(({ name }) => name), ...called])]
    const unusedApis = unknownIn(this.#options.apis, known)
    if (unusedApis.length === 0) return
    // No warning, as a handler may ask for an API when it first calls it.
    const what = 'the configuration has settings for APIs that are neither served nor called yet'
    logLine('info', { unused: unusedApis, apis: known }, what)
  }

  #connectedAgain(): void {
    logLine('info', {}, 'connected again')
    const suspicion = this.#reconnects?.again(performance.now()) ?? null
    if (suspicion !== null) logLine('warn', { code: 'SESSION_TAKEN_OVER_SUSPECTED' }, suspicion)
  }

  /** Why is there no connection? The first reason of each outage is told, and each loss. */
  async #tellLosses(bus: Bus): Promise<void> {
    let isOut = false
    try {
      for await (const { from, to, reason } of bus.transitions()) {
        if (to === 'connected') isOut = false
        // What ends a run is logged by itself.
        if (reason === null || isOut || to === 'failed') continue
        isOut = true
        const what = from === 'connected' ? 'the connection is lost' : 'there is no connection'
        logLine('warn', { code: reason.code }, `${what}: ${inWords(reason.message)}`)
      }
    } catch {
      // The queue of a process that stood still has overflown: later changes are not told.
    }
  }

  #caught(signal: string): void {
    if (this.#signal !== null) process.exit(INTERRUPTED)
    this.#signal = signal
    logLine('info', { signal }, 'takes nothing more, and lets what runs end')
    this.#wake()
    // A failure of this is logged where the life ends.
    this.#bus?.close().catch(() => {})
  }

  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#signal !== null) this.#wake()
    })
  }
}

/** @returns the settings that are for nobody. */
function unknownIn(settings: object = {}, names: readonly string[]): readonly string[] {
  return Object.keys(settings).filter((one) => !names.includes(one))
}

/** @returns what the service does, for those who read its log. */
function contentsOf(bus: Bus): Readonly<Record<string, readonly string[]>> {
  const { apis, listeners, tasks } = describeBus(bus)
  return {
    apis: apis.map(({ name, version }) => `${name} ${version}`),
    listeners: listeners.map(({ name, events }) => `${name}: ${events.join(', ')}`),
    tasks: tasks.map(({ name }) => name),
  }
}

/** Whether the configuration wants lines about calls, events and schemas of some API. */
function asksForLog({ log, apis = {} }: BusOptions): boolean {
  return log !== undefined || Object.values(apis).some((api) => api.log !== undefined)
}

function failureText(error: unknown): string {
  return inWords(error instanceof Error ? error.message : String(error))
}

/** @returns what programs look for in an error; the stack only of one that the service made. */
function fieldsOfError(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof MqttError) return { code: error.code }
  return error instanceof Error ? { stack: error.stack } : {}
}
