/**
 * `prometheus()`: what a bus does as metrics of prom-client. Their labels are names that this
 * process has registered and codes of a list, so that no message of another process makes a new
 * one. (B19, what a bus does can be seen)
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { UsageError } from '../index.ts'
import { type BusInsides, insidesOf, type ListenerInsides } from './bus-insides.ts'
import type { ReportListener } from './bus-reports.ts'
import type { Bus } from './bus-types.ts'
import type { EventReport, RpcReport } from './report-types.ts'

/** What is used of a `Registry` of prom-client 15. */
export interface MetricsRegistry {
  /** Adds a metric. */
  registerMetric(metric: never): void
  /** Removes a metric. */
  removeSingleMetric(name: string): void
}

const METRICS_PREFIX = 'itmqtt_bus_'
const OF_API = ['service', 'api', 'name'] as const
const OF_LISTENER = ['service', 'listener'] as const
/** In seconds: from an answer on the same machine to the default time-out of a call. */
const RPC_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const EVENT_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60]

/** By the registry, which may show several buses. */
const metricsIn = new WeakMap<object, BusMetrics>()

/**
 * Shows what a bus does in a registry of prom-client, from now on. Several buses may share one.
 * @returns what ends it: the last bus removes the metrics from the registry.
 * @throws UsageError `NO_METRICS` if the package `prom-client` cannot be loaded.
 */
export async function prometheus(bus: Bus, registry: MetricsRegistry): Promise<Disposable> {
  const insides = insidesOf('prometheus', bus)
  if (typeof Object(registry).registerMetric !== 'function') {
    throw new UsageError('prometheus: the registry must be a Registry of prom-client')
  }
  const classes = await loadPromClient()
  let metrics = metricsIn.get(registry)
  if (metrics === undefined) {
    metrics = new BusMetrics(classes, registry as unknown as Registry)
    metricsIn.set(registry, metrics)
  }
  return metrics.show(insides)
}

type PromClient = Pick<typeof import('prom-client'), 'Counter' | 'Gauge' | 'Histogram'>

async function loadPromClient(): Promise<PromClient> {
  try {
    return await import('prom-client')
  } catch (cause) {
    const what = 'prometheus: the package prom-client cannot be loaded'
    throw new UsageError(`${what}: npm install prom-client@15`, { code: 'NO_METRICS', cause })
  }
}

class BusMetrics implements ReportListener {
  readonly #registry: Registry
  readonly #classes: PromClient
  readonly #names: string[] = []
  readonly #shown = new Set<BusInsides>()
  readonly #calledRpcs: Counter<string>
  readonly #processedRpcs: Counter<string>
  readonly #rpcErrors: Counter<string>
  readonly #rpcSeconds: Histogram<string>
  readonly #firedEvents: Counter<string>
  readonly #processedEvents: Counter<string>
  readonly #eventSeconds: Histogram<string>
  readonly #listenerErrors: Counter<string>

  constructor(classes: PromClient, registry: Registry) {
    this.#classes = classes
    this.#registry = registry
    this.#calledRpcs = new classes.Counter({
      ...this.#described('called_rpcs_total', 'Calls that have ended.', OF_API),
      // It is collected first, as it is registered first.
      collect: () => {
        for (const insides of this.#shown) this.#beginAtZero(insides)
      },
    })
    this.#processedRpcs = this.#counter('processed_rpcs_total', 'Handlers that ended.', OF_API)
    this.#rpcErrors = this.#counter(
      'rpc_errors_total',
      'Calls and handlers that failed, by the side and the code of the error.',
      [...OF_API, 'side', 'code'],
    )
    this.#rpcSeconds = this.#histogram(
      'rpc_seconds',
      'How long calls and handlers took, by the side.',
      [...OF_API, 'side'],
      RPC_BUCKETS,
    )
    this.#firedEvents = this.#counter('fired_events_total', 'Events that were fired.', OF_API)
    const handled = [...OF_API, 'listener']
    this.#processedEvents = this.#counter('processed_events_total', 'Events handled.', handled)
    this.#eventSeconds = this.#histogram(
      'event_seconds',
      'How long attempts to handle events took.',
      handled,
      EVENT_BUCKETS,
    )
    this.#listenerErrors = this.#counter(
      'listener_errors_total',
      'Attempts to handle events that failed, by what becomes of the event.',
      [...handled, 'action'],
    )
    this.#fromListeners('listener_waiting', 'Events received whose handler has not begun.', {
      read: ({ waiting }) => waiting,
    })
    this.#fromListeners(
      'listener_oldest_seconds',
      'The age of the oldest event that is not handled, by the clock of its sender.',
      {
        read: ({ oldestFiredAt }, { parts: { clock } }) => {
          const now = clock.wallNow?.() ?? Date.now()
          return oldestFiredAt === null ? 0 : Math.max(0, now - oldestFiredAt) / 1000
        },
      },
    )
    this.#fromListeners('dead_letters_total', 'Events that became dead letters.', {
      read: ({ stats }) => stats.dead,
      isCounter: true,
    })
  }

  show(insides: BusInsides): Disposable {
    if (this.#shown.has(insides)) {
      throw new UsageError('prometheus: this registry shows the bus already; call it once')
    }
    this.#shown.add(insides)
    const end = insides.parts.reports.add(this)
    let isEnded = false
    return {
      [Symbol.dispose]: () => {
        if (isEnded) return
        isEnded = true
        end()
        this.#shown.delete(insides)
        if (this.#shown.size > 0) return
        metricsIn.delete(this.#registry)
        for (const name of this.#names) this.#registry.removeSingleMetric(name)
      },
    }
  }

  // ---------------------------------------------------------------------------------- what happens

  rpc({ kind, service, api, rpc, code, ms }: RpcReport): void {
    const labels = { service, api, name: rpc ?? '' }
    if (kind === 'call') this.#calledRpcs.inc(labels)
    else this.#processedRpcs.inc(labels)
    this.#rpcSeconds.observe({ ...labels, side: kind }, ms / 1000)
    if (code !== null) this.#rpcErrors.inc({ ...labels, side: kind, code })
  }

  event({ service, api, event: name, listener, code, action, ms }: EventReport): void {
    const labels = { service, api, name }
    if (listener === null) {
      if (code === null) this.#firedEvents.inc(labels)
      return
    }
    const ofListener = { ...labels, listener }
    this.#eventSeconds.observe(ofListener, ms / 1000)
    if (code === null) this.#processedEvents.inc(ofListener)
    else this.#listenerErrors.inc({ ...ofListener, action: action ?? 'acknowledged' })
  }

  /** Counters are there before the first call, so that a rate sees the first one. */
  #beginAtZero({ parts, called, listeners }: BusInsides): void {
    const { service } = parts
    for (const { name: api, rpcs } of called()) {
      for (const name of Object.keys(rpcs)) this.#calledRpcs.inc({ service, api, name }, 0)
    }
    for (const { api } of parts.served.values()) {
      const { name: of, rpcs, events } = api
      for (const name of Object.keys(rpcs)) this.#processedRpcs.inc({ service, api: of, name }, 0)
      for (const name of Object.keys(events)) this.#firedEvents.inc({ service, api: of, name }, 0)
    }
    for (const { name: listener, sources } of listeners()) {
      for (const { api, event } of sources) {
        this.#processedEvents.inc({ service, api: api.name, name: event, listener }, 0)
      }
    }
  }

  // ----------------------------------------------------------------------------------- the metrics

  #counter(name: string, help: string, labelNames: readonly string[]): Counter<string> {
    return new this.#classes.Counter(this.#described(name, help, labelNames))
  }

  #histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    buckets: number[],
  ): Histogram<string> {
    return new this.#classes.Histogram({ ...this.#described(name, help, labelNames), buckets })
  }

  /** A metric that is read from the listeners at each scrape. */
  #fromListeners(name: string, help: string, { read, isCounter = false }: ListenerMetric): void {
    const shown = this.#shown
    const described = {
      ...this.#described(name, help, OF_LISTENER),
      collect(this: Counter<string> | Gauge<string>) {
        this.reset()
        for (const insides of shown) {
          const { service } = insides.parts
          for (const one of insides.listeners()) {
            this.inc({ service, listener: one.name }, read(one, insides))
          }
        }
      },
    }
    if (isCounter) new this.#classes.Counter(described)
    else new this.#classes.Gauge(described)
  }

  #described(name: string, help: string, labelNames: readonly string[]) {
    const whole = METRICS_PREFIX + name
    this.#names.push(whole)
    return { name: whole, help, labelNames: [...labelNames], registers: [this.#registry] }
  }
}

interface ListenerMetric {
  readonly read: (listener: ListenerInsides, insides: BusInsides) => number
  readonly isCounter?: boolean
}
