/**
 * Takes requests and controls from the user's streams, as far as the window and fairness to everything else allow. (D4, E3)
 */

import { later } from '../platform/runtime.ts'
import type { ProtocolVersion, RequestFacts } from '../protocol/facts.ts'
import { type PreparedControl, prepareControl } from './controls.ts'
import { isControl, JOINED, type Ledger } from './ledger.ts'
import type { Clock } from './prepare.ts'
import { NOTHING, type Source } from './source.ts'

/** Requests taken before the process may do other things; beyond it bytes and timers would wait. */
const REQUESTS_PER_TURN = 2048
/** 4 KiB of a request count like one request more. */
const BYTES_PER_COUNT_LOG2 = 12

export interface IntakeListener extends Clock {
  version(): ProtocolVersion
  /** Facts were gathered; they are asked for with `drainFacts` before anything else becomes an input. */
  gathered(): void
  control(prepared: PreparedControl): void
  /** The request stream has ended; `thrown`: with an error. */
  ended(thrown: { readonly thrown: unknown } | null): void
  fail(error: unknown): void
}

export class Intake {
  readonly #ledger: Ledger
  readonly #listener: IntakeListener
  #requests: Source | null = null
  #controls: Source | null = null
  #facts: RequestFacts[] | null = null
  /** Requests that stand in facts or wait for their group to be closed. */
  #pending = 0
  /** How many QoS > 0 publishes may still be taken before the next step; with `#counting`, how many requests of any kind. */
  #allowance = 0
  #counting = false
  #grouping = true
  #taken = 0
  #resting = false
  #told = false

  constructor(ledger: Ledger, listener: IntakeListener) {
    this.#ledger = ledger
    this.#listener = listener
  }

  get requests(): Source | null {
    return this.#requests
  }

  /** Requests taken that the reducers have not heard of. */
  get pending(): number {
    return this.#pending
  }

  attach(requests: Source | null, controls: Source | null): void {
    this.#requests = requests
    this.#controls = controls
    requests?.attach({
      came: (batch) => this.#ledger.sift(batch, requests.settling),
      ready: () => {
        this.gather()
        this.#listener.gathered()
      },
    })
    controls?.attach({
      came: (batch) => batch,
      ready: () => {
        this.takeControls()
        this.#listener.gathered()
      },
    })
  }

  /** What the reducers allow after a step. `grouping`: messages at QoS 0 may leave as groups. */
  allow(publishes: number, counting: boolean, grouping: boolean): void {
    this.#allowance = publishes
    this.#counting = counting
    this.#grouping = grouping && !counting
  }

  gather(): void {
    const source = this.#requests
    if (source === null) return this.#tellEnd(null)
    if (this.#resting) return
    while (this.#allowance > 0) {
      if (this.#taken >= REQUESTS_PER_TURN) return this.#rest()
      const item = source.take()
      if (item === NOTHING) break
      this.#taken++
      if (this.#accept(item, false)) this.#allowance--
    }
    if (this.#allowance > 0 && source.ended) this.#tellEnd(source.error)
  }

  #tellEnd(thrown: { readonly thrown: unknown } | null): void {
    if (this.#told) return
    this.#told = true
    this.#allowance = 0
    this.#listener.ended(thrown)
  }

  /** The stream gives without end: bytes and timers get their turn before it goes on. */
  #rest(): void {
    this.#resting = true
    later(() => {
      this.#resting = false
      this.#taken = 0
      this.gather()
      this.#listener.gathered()
    })
  }

  /** True: it counts against the window. */
  #accept(item: unknown, closing: boolean): boolean {
    let taken: RequestFacts | PreparedControl | typeof JOINED | null
    try {
      const listener = this.#listener
      const settling = this.#requests?.settling ?? null
      const grouping = this.#grouping && !closing
      taken = this.#ledger.accept(item, settling, listener.version(), listener, grouping)
    } catch (error) {
      this.#allowance = 0
      this.#listener.fail(error)
      return false
    }
    if (taken === null) return false
    if (taken === JOINED) {
      this.#pending++
      return false
    }
    if (isControl(taken)) {
      // What follows must not overtake it.
      this.#allowance = 0
      if (!closing) this.#listener.control(taken)
      return false
    }
    this.#closeGroup()
    this.#add(taken)
    this.#pending++
    // A large request counts for many: what is taken at once must fit into memory at once.
    this.#taken += taken.bytes >>> BYTES_PER_COUNT_LOG2
    return this.#counting || (taken.kind === 'publish' && taken.qos > 0)
  }

  #closeGroup(): void {
    const group = this.#ledger.closeGroup()
    if (group !== null) this.#add(group)
  }

  #add(facts: RequestFacts): void {
    if (this.#facts === null) this.#facts = [facts]
    else this.#facts.push(facts)
  }

  /** Null: there are none. */
  drainFacts(): readonly RequestFacts[] | null {
    this.#closeGroup()
    const facts = this.#facts
    this.#facts = null
    this.#pending = 0
    return facts
  }

  takeControls(): void {
    const controls = this.#controls
    if (controls === null) return
    for (;;) {
      const item = controls.take()
      if (item === NOTHING) break
      try {
        this.#listener.control(prepareControl(item))
      } catch (error) {
        return this.#listener.fail(error)
      }
    }
    if (!controls.ended) return
    this.#controls = null
    if (controls.error !== null) this.#listener.fail(controls.error.thrown)
  }

  /** The consumer left: closes the streams; what they handed out and nobody took is taken now, to be held. */
  close(): void {
    this.#controls?.close()
    for (const item of this.#requests?.close() ?? []) this.#accept(item, true)
  }

  /** The loop ended and may be followed by another: the streams stay as they are. */
  release(finished: boolean): void {
    this.#requests?.release(finished)
    this.#controls?.release(finished)
  }
}
