/**
 * When is the next request taken from the user's stream? As soon as the window allows (D4, the
 * window is never exceeded), and so that bytes and timers get their turn. Controls are taken
 * immediately (E3, controls lose and reorder nothing).
 */

import { later } from '#runtime'
import type { ProtocolVersion, RequestFacts } from '../protocol/facts.ts'
import { offlineWeight } from '../protocol/flow.ts'
import { isControl, JOINED, type Ledger } from './ledger.ts'
import type { Clock } from './prepare.ts'
import { type PreparedControl, prepareControl } from './prepare-control.ts'
import { NO_ITEM, type Source } from './source.ts'

/** How many requests are taken in a row before bytes and timers get their turn. */
const REQUESTS_PER_TURN = 2048
/** Each 4 KiB (2 to the 12th) of a request count as one more request. */
const BYTES_PER_COUNT_LOG2 = 12

/**
 * Which requests count against the allowance: publishes at QoS 1 and 2, each request, or each
 * request by its size, because there is no connection.
 */
type Counting = 'windowed' | 'each' | 'offline'

export interface IntakeListener extends Clock {
  /** @returns the protocol version of the connection. */
  version(): ProtocolVersion
  /** Facts were gathered. The loop drains them before it adds any other input. */
  gathered(): void
  /** `inTurn`: the request stream gave the control. */
  control(prepared: PreparedControl, inTurn: boolean): void
  /** The request stream has ended. `thrown` has its error, or is null if it ended in order. */
  ended(thrown: { readonly thrown: unknown } | null): void
  /** Ends the loop with an error of the user's streams. */
  fail(error: unknown): void
}

export class Intake {
  readonly #ledger: Ledger
  readonly #listener: IntakeListener
  #requests: Source | null = null
  #controls: Source | null = null
  /** Facts that are not drained yet; null if there are none. */
  #facts: RequestFacts[] | null = null
  /** How many requests are in facts, or in a group that is not closed. */
  #pending = 0
  /** How many requests that count may still be taken before the next step. */
  #allowance = 0
  #counting: Counting = 'windowed'
  /** Whether QoS 0 publishes may be sent as groups. */
  #grouping = true
  /** How many requests were taken since bytes and timers had their turn. */
  #taken = 0
  /** Whether bytes and timers have their turn now. */
  #resting = false
  /** Whether the end of the request stream was reported. */
  #endReported = false

  constructor(ledger: Ledger, listener: IntakeListener) {
    this.#ledger = ledger
    this.#listener = listener
  }

  get requests(): Source | null {
    return this.#requests
  }

  /** How many requests were taken that the reducers do not know yet. */
  get pending(): number {
    return this.#pending
  }

  attach(requests: Source | null, controls: Source | null): void {
    this.#requests = requests
    this.#controls = controls
    requests?.attach({
      arrived: (batch) => this.#ledger.sift(batch, requests.settling),
      ready: () => {
        this.gather()
        this.#listener.gathered()
      },
    })
    controls?.attach({
      arrived: (batch) => batch,
      ready: () => {
        this.takeControls()
        this.#listener.gathered()
      },
    })
  }

  /**
   * Says what may be taken before the next step.
   *
   * @param publishes is how many requests that count may be taken.
   * @param counting says which requests count.
   * @param grouping says whether QoS 0 publishes may be sent as groups.
   */
  allow(publishes: number, counting: Counting, grouping: boolean): void {
    this.#allowance = publishes
    this.#counting = counting
    this.#grouping = grouping && counting === 'windowed'
  }

  /**
   * Takes, before the loop ends, what the stream has now.
   * @returns whether the stream may give more in this turn that could be taken.
   */
  takeLast(): boolean {
    if (this.#requests === null || this.#endReported) return false
    this.gather()
    return this.#allowance > 0 && !this.#endReported
  }

  /** Takes requests until the allowance, the turn or what the stream has is used up. */
  gather(): void {
    const source = this.#requests
    if (source === null) return this.#reportEnd(null)
    if (this.#resting) return
    while (this.#allowance > 0) {
      if (this.#taken >= REQUESTS_PER_TURN) return this.#rest()
      const item = source.take()
      if (item === NO_ITEM) break
      this.#taken++
      // A control sets the allowance to 0, so it is read after the call.
      const counted = this.#accept(item, false)
      this.#allowance -= counted
    }
    if (this.#allowance > 0 && source.ended) this.#reportEnd(source.error)
  }

  #reportEnd(thrown: { readonly thrown: unknown } | null): void {
    if (this.#endReported) return
    this.#endReported = true
    this.#allowance = 0
    this.#listener.ended(thrown)
  }

  /** Gives bytes and timers their turn, because a stream may have requests without end. */
  #rest(): void {
    this.#resting = true
    later(() => {
      this.#resting = false
      this.#taken = 0
      this.gather()
      this.#listener.gathered()
    })
  }

  /** @returns how much the request counts against the allowance. */
  #accept(item: unknown, closing: boolean): number {
    let taken: RequestFacts | PreparedControl | typeof JOINED | null
    try {
      const listener = this.#listener
      const settling = this.#requests?.settling ?? null
      const grouping = this.#grouping && !closing
      taken = this.#ledger.accept(item, settling, listener.version(), listener, grouping)
    } catch (error) {
      this.#allowance = 0
      this.#listener.fail(error)
      return 0
    }
    if (taken === null) return 0
    if (taken === JOINED) {
      this.#pending++
      return 0
    }
    if (isControl(taken)) {
      // Requests that follow a control must not overtake it, so none is taken before the next step.
      this.#allowance = 0
      if (closing) return 0
      // A control must not overtake the requests before it, which wait for a connection.
      if (this.#counting === 'offline') this.#requests?.putBack(item)
      else this.#listener.control(taken, true)
      return 0
    }
    this.#closeGroup()
    this.#add(taken)
    this.#pending++
    // A large request counts as many, because all that is taken in one turn is in memory together.
    this.#taken += taken.bytes >>> BYTES_PER_COUNT_LOG2
    if (this.#counting === 'offline') return offlineWeight(taken)
    return this.#counting === 'each' || (taken.kind === 'publish' && taken.qos > 0) ? 1 : 0
  }

  #closeGroup(): void {
    const group = this.#ledger.closeGroup()
    if (group !== null) this.#add(group)
  }

  #add(facts: RequestFacts): void {
    if (this.#facts === null) this.#facts = [facts]
    else this.#facts.push(facts)
  }

  /** @returns the facts since the last call, or null if there are none. */
  drainFacts(): readonly RequestFacts[] | null {
    this.#closeGroup()
    const facts = this.#facts
    this.#facts = null
    this.#pending = 0
    return facts
  }

  /** Performs the controls that the stream of controls has now. */
  takeControls(): void {
    const controls = this.#controls
    if (controls === null) return
    for (;;) {
      const item = controls.take()
      if (item === NO_ITEM) break
      try {
        this.#listener.control(prepareControl(item), false)
      } catch (error) {
        return this.#listener.fail(error)
      }
    }
    if (!controls.ended) return
    this.#controls = null
    if (controls.error !== null) this.#listener.fail(controls.error.thrown)
  }

  /**
   * Closes the streams, because the consumer left the loop. Requests that they gave and nobody took
   * are taken now, so that the session holds them.
   */
  close(): void {
    this.#controls?.close()
    for (const item of this.#requests?.close() ?? []) this.#accept(item, true)
  }

  /**
   * Leaves the streams as they are, because the loop has ended and another one may go on with them.
   * @param finished says that no request is held.
   */
  release(finished: boolean): void {
    this.#requests?.release(finished)
    this.#controls?.release(finished)
  }
}
