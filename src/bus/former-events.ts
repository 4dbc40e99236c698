/**
 * Which events come for a listener that does not listen to them any more? Its session at the server
 * is older than this process, and may have filters of an earlier release: for more events, or for
 * another version of an API. What they bring would never be acknowledged, and once as much of it
 * waits as the server may send ahead, nothing else comes. (B6, an event reaches each listener name
 * at least once; B10, a listener has what comes after it is granted)
 *
 * Nothing is lost silently: each event is reported once. The topic of a message says which filters
 * of this listener may have brought it.
 */
import type { IncomingPublish } from '../index.ts'
import { BUS_PROPERTIES, listenerShare } from './bus-names.ts'
import { type BusParts, headerOf } from './bus-parts.ts'
import type { ListenerPlan } from './listener-plan.ts'

/** The API, its major version, the event, and perhaps a key. */
const EVENT_TOPIC = /^((.+)\/(v\d+)\/event)\/([^/]+)(?:\/[^/]*)?$/
/** How many events are remembered as reported; then all are reported again. */
const REPORTED_MAX = 1000

export class FormerEvents {
  readonly #bus: BusParts
  readonly #owner: string
  readonly #reported = new Set<string>()

  constructor(bus: BusParts, plan: ListenerPlan) {
    this.#bus = bus
    this.#owner = listenerShare(bus.service, plan.name)
  }

  /** @returns the filters by which an earlier release may have had it, once for each event. */
  filtersOf({ topic, properties }: IncomingPublish): readonly string[] {
    const { prefix } = this.#bus
    const [, area, api, major, event] = EVENT_TOPIC.exec(topic.slice(prefix.length + 1)) ?? []
    const name = event === undefined ? topic : `${api} ${major} ${event}`
    if (this.#reported.has(name)) return []
    if (this.#reported.size >= REPORTED_MAX) this.#reported.clear()
    this.#reported.add(name)
    const id = headerOf(properties?.userProperties, BUS_PROPERTIES.key)
    this.#warn(name, id)
    if (event === undefined) return []
    const topics = [`${prefix}/${area}/${event}/#`, `${prefix}/${area}/#`]
    return topics.flatMap((one) => [`$share/${this.#owner}/${one}`, one])
  }

  #warn(name: string, id: string | null): void {
    const which = id === null ? name : `${name} (${id})`
    const message =
      `listen: ${this.#owner}: the event ${which} came, and this process does not listen to it:` +
      ' an earlier one of this name has subscribed to it. It is acknowledged and not handled, as' +
      ' those after it, and the subscription is removed; `stats.passed` counts them.'
    this.#bus.warn('EVENT_DROPPED', message)
  }
}
