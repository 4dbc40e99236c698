/**
 * What must become of events? Each packet that the broker sees, and each beginning and end of a
 * handler, is compared with what was fired and what a listener may do with it.
 */
import type { TestBroker } from '../../../src/testing/index.ts'
import type { KeptIds } from './bus-keeping.ts'
import type { Life, Seat } from './bus-process.ts'
import type { EventOrder, ListenerSetup } from './bus-scenario.ts'

type Report = (id: string, what: string) => void

/** How often the handler of an event is tried again in place. */
export const RETRIES = 2

export interface FiredEvent {
  readonly n: number
  readonly seat: Seat
  readonly durable: boolean
  readonly order: EventOrder
  /** How often it came to the broker. */
  arrivals: number
  /** `fire()` has resolved. */
  isFired: boolean
}

/** A name under which events are listened to. */
export interface Name {
  /** `service.listener`. */
  readonly owner: string
  readonly service: string
  readonly setup: ListenerSetup
  /** What the processes of the service remember together. */
  readonly ids: KeptIds
}

/** What is known of an event at a name. */
interface Fate {
  /** The broker had a session for it, which lives. */
  isOwed: boolean
  /** A handler has ended well, or has acknowledged it before its end. */
  isHandled: boolean
  /** Its dead letter is at the broker. */
  isBuried: boolean
  /** Handlers that failed, of all lives. */
  failures: number
  /** First attempts, by what remembers them. */
  readonly begun: Map<KeptIds | null, number>
  readonly failuresByLife: Map<Life, number>
  /** The lives whose handlers have ended well. */
  readonly handledBy: Set<Life>
  /** The lives that have acknowledged it, and so remembered it before. */
  readonly remembered: Set<Life>
}

interface DeliveredPacket {
  readonly messageId?: number | undefined
  readonly dup?: boolean | undefined
}

interface Delivered {
  readonly n: number
  readonly name: Name
  /** It may be a copy, and its listener cannot recognize copies. */
  readonly isUnknown: boolean
  isAcknowledged: boolean
}

export class EventLedger {
  readonly all: FiredEvent[] = []
  readonly names: readonly Name[]
  readonly #broker: TestBroker
  readonly #problem: Report
  readonly #fates = new Map<string, Fate>()
  /** The publishes that each connection of a listener was sent, in order, by identifier. */
  readonly #delivered = new Map<number, Map<number, Delivered>>()
  /** The last durable event of each process that came to the broker for the first time. */
  readonly #lastDurable = new Map<Seat, number>()
  /** Whether the listeners can recognize an event: MQTT 3.1.1 has no place for its name. */
  readonly #hasIds: boolean
  readonly #idsOf: (name: Name) => readonly KeptIds[]

  constructor(
    names: readonly Name[],
    broker: TestBroker,
    hasIds: boolean,
    idsOf: (name: Name) => readonly KeptIds[],
    problem: Report,
  ) {
    this.#idsOf = idsOf
    this.names = names
    this.#broker = broker
    this.#hasIds = hasIds
    this.#problem = problem
  }

  begin(seat: Seat, durable: boolean, order: EventOrder): FiredEvent {
    const event = { n: this.all.length + 1, seat, durable, order, arrivals: 0, isFired: false }
    this.all.push(event)
    return event
  }

  of(n: number): FiredEvent | undefined {
    return this.all[n - 1]
  }

  #fate(name: Name, n: number): Fate {
    const key = `${name.owner} ${n}`
    let fate = this.#fates.get(key)
    if (fate === undefined) {
      fate = {
        ...{ isOwed: false, isHandled: false, isBuried: false, failures: 0 },
        ...{ begun: new Map(), failuresByLife: new Map(), remembered: new Set() },
        handledBy: new Set(),
      }
      this.#fates.set(key, fate)
    }
    return fate
  }

  // ------------------------------------------------------------------------------- at the broker

  /** An event comes to the broker. (B6, B9) */
  arrived(n: number): void {
    const event = this.of(n)
    if (event === undefined) return this.#problem('B9', `an unknown event ${n}`)
    event.arrivals++
    if (event.durable && event.arrivals === 1) {
      const last = this.#lastDurable.get(event.seat) ?? 0
      if (n < last) this.#problem('B9', `event ${n} leaves the outbox behind ${last}`)
      this.#lastDurable.set(event.seat, n)
    }
    for (const name of this.names) {
      if (!name.setup.events.includes(event.order.event)) continue
      if (this.#hasSession(name)) this.#fate(name, n).isOwed = true
    }
  }

  #hasSession({ owner }: Name): boolean {
    const start = `bus.${owner}@`
    for (const { clientId, subscriptions } of this.#broker.sessions.values()) {
      if (clientId.startsWith(start) && Object.keys(subscriptions).length > 0) return true
    }
    return false
  }

  /** The broker has forgotten all sessions. */
  forgotten(): void {
    for (const fate of this.#fates.values()) fate.isOwed = false
  }

  delivered(clientId: string, connection: number, packet: DeliveredPacket, n: number): void {
    const { messageId = 0, dup = false } = packet
    const name = this.names.find(({ owner }) => clientId.startsWith(`bus.${owner}@`))
    if (name === undefined) return
    const sent = this.#delivered.get(connection) ?? new Map<number, Delivered>()
    this.#delivered.set(connection, sent)
    const known = sent.get(messageId)
    // A copy of the same packet.
    if (known?.n === n && !known.isAcknowledged) return
    sent.delete(messageId)
    const isUnknown = dup && (!this.#hasIds || name.setup.dedupe === 'none')
    sent.set(messageId, { n, name, isUnknown, isAcknowledged: false })
  }

  /** A listener acknowledges an event. (B7) */
  acknowledged(life: Life, connection: number, messageId: number): void {
    const sent = this.#delivered.get(connection)
    const delivered = sent?.get(messageId)
    if (sent === undefined || delivered === undefined) return
    const { n, name } = delivered
    for (const [, other] of sent) {
      if (other === delivered) break
      if (other.isAcknowledged) continue
      this.#problem('B7', `${name.owner} acknowledges ${n} before ${other.n}, which came before`)
      break
    }
    delivered.isAcknowledged = true
    if (!life.isDead) this.#fate(name, n).remembered.add(life)
    if (!this.isOver(name, n)) {
      this.#problem('B7', `${name.owner} acknowledges ${n}, which is not handled`)
    }
  }

  /** @returns what a life was sent on a connection and has handled, and not acknowledged. */
  unacknowledged(life: Life, connection: number): readonly number[] {
    const left: number[] = []
    for (const one of this.#delivered.get(connection)?.values() ?? []) {
      const { n, name, isUnknown, isAcknowledged } = one
      if (isAcknowledged) continue
      // From here on acknowledgements are held back.
      if (isUnknown || !this.#fate(name, n).handledBy.has(life)) break
      left.push(n)
    }
    return left
  }

  /** A dead letter is at the broker. (B11) */
  buried(owner: string, n: number): void {
    const name = this.names.find((one) => one.owner === owner)
    if (name === undefined) return this.#problem('B11', `a dead letter of nobody, ${owner}`)
    const fate = this.#fate(name, n)
    fate.isBuried = true
    const counts = this.#idsOf(name).map(({ begun }) => begun.get(`${owner}/e${n}`) ?? 0)
    const { maxRedeliveries } = name.setup
    const isTooOften = maxRedeliveries > 0 && Math.max(0, ...counts) > maxRedeliveries
    const isGivenUp = finalAction(name.setup) === 'deadLetter' && this.#isGivenUp(name, fate)
    if (!isTooOften && !isGivenUp) this.#problem('B11', `${owner} buries ${n} too early`)
  }

  #isGivenUp({ setup }: Name, { failuresByLife }: Fate): boolean {
    const needed = setup.onError === 'retry' ? RETRIES + 1 : 1
    return [...failuresByLife.values()].some((count) => count >= needed)
  }

  /** Whether a listener need not do anything more about an event. */
  isOver(name: Name, n: number): boolean {
    const fate = this.#fate(name, n)
    if (!name.setup.events.includes(this.of(n)!.order.event)) return true
    if (fate.isHandled || fate.isBuried) return true
    return finalAction(name.setup) === 'skip' && this.#isGivenUp(name, fate)
  }

  // ------------------------------------------------------------------------------ at the listeners

  /** A handler begins. @returns whether it is to fail. (B7, B11) */
  begins(name: Name, life: Life, n: number, attempt: number, ids: KeptIds | null): boolean {
    const fate = this.#fate(name, n)
    const { setup, owner } = name
    const what = `${life.name} handles ${n} of ${owner}`
    if (life.isEnding) this.#problem('B18', `${what} after close()`)
    if (attempt === 1 && setup.dedupe !== 'none' && this.#hasIds) {
      if (fate.remembered.has(life)) this.#problem('B7', `${what} again, which it has handled`)
      const isKnown = ids?.answers.get(`${owner}/e${n}`) ?? ids?.done.has(`${owner}/e${n}`)
      if (isKnown === true) this.#problem('B7', `${what} again, which its store knows`)
    }
    if (attempt === 1) {
      const begun = (fate.begun.get(ids) ?? 0) + 1
      fate.begun.set(ids, begun)
      const { maxRedeliveries } = setup
      if (maxRedeliveries > 0 && this.#hasIds && begun > maxRedeliveries) {
        this.#problem('B11', `${what} for the ${begun}th time`)
      }
    }
    return fate.failures < this.#failuresOf(name, n)
  }

  /** Without an end to its failures, an event would stop a listener for ever. */
  #failuresOf({ setup }: Name, n: number): number {
    const { fails } = this.of(n)!.order
    const hasEnd = finalAction(setup) !== 'stop' || (setup.maxRedeliveries > 0 && this.#hasIds)
    return hasEnd ? fails : Math.min(fails, 2)
  }

  failed(name: Name, life: Life, n: number): void {
    const fate = this.#fate(name, n)
    fate.failures++
    fate.failuresByLife.set(life, (fate.failuresByLife.get(life) ?? 0) + 1)
  }

  /** A handler has ended well, or has acknowledged the event itself. */
  handled(name: Name, life: Life, n: number): void {
    const fate = this.#fate(name, n)
    fate.isHandled = true
    // A loop acknowledges by asking for the next event, and after close() it cannot ask.
    if (name.setup.how === 'handler' || !life.isEnding) fate.handledBy.add(life)
  }

  // --------------------------------------------------------------------------------------- the end

  /** @returns what a listener must still do. (B6) */
  owed(): readonly string[] {
    return this.names.flatMap((name) =>
      this.all.flatMap(({ n }) =>
        this.#fate(name, n).isOwed && !this.isOver(name, n) ? [`${n} to ${name.owner}`] : [],
      ),
    )
  }
}

/** What becomes of an event that cannot be handled. */
export function finalAction({ how, onError, then }: ListenerSetup): 'stop' | 'skip' | 'deadLetter' {
  // A loop that throws is ended by its throw.
  if (how === 'iterated') return 'stop'
  return onError === 'retry' ? then : onError
}
