/**
 * What becomes of a request in a lane? It waits for its turn, then for its PUBACK, then for its
 * answer; and where the connection does not do, its fallback answers. (Q12, in a lane one request
 * is open at a time)
 */
import type { Published } from '../client-types.ts'
import { hexOfLatin1, latin1Of, randomCorrelation } from './correlation.ts'
import {
  acknowledgeTurn,
  beginTurn,
  expireTurn,
  isHealthy,
  type Turn,
  type TurnBounds,
} from './lane-order.ts'
import { endedBefore, tooLate } from './request-errors.ts'
import type { Ask, AskedPayload } from './request-plan.ts'
import { responseOf } from './response.ts'
import { type SettleRequest, SingleRequest } from './single-request.ts'
import type { RequestHost } from './waiter.ts'

const AFTER_MS = 5000
const encoder = new TextEncoder()
let unnamedLanes = 0

export class LaneRequest extends SingleRequest {
  readonly #lane: string
  readonly #bounds: TurnBounds
  #startedAt: number
  #turn: Turn | null = null
  #fallback: AbortController | null = null
  #unlisten: (() => void) | null = null

  constructor(desk: RequestHost, ask: Ask, payload: AskedPayload, resolve: SettleRequest) {
    super(desk, ask, payload, resolve)
    this.#startedAt = desk.core.clock.now()
    const { ackTimeout, responseTimeout, fallback, lane } = ask.rare!
    // Names of users cannot be empty, so that an empty first character sets these apart.
    this.#lane = lane === undefined ? `\u0000${unnamedLanes++}` : lane
    this.#bounds = {
      ackMs: ackTimeout ?? ask.timeout,
      responseMs: responseTimeout ?? ask.timeout,
      hasFallback: fallback !== undefined,
    }
  }

  override get startedAt(): number {
    return this.#startedAt
  }

  override get expiresAt(): number {
    return this.#startedAt + this.#bounds.ackMs + this.#bounds.responseMs
  }

  override begin(): void {
    this.desk.wants(1)
    const isFirst = this.desk.joinLane(this.#lane, this)
    if (this.desk.opened(this) && isFirst) this.takeTurn()
  }

  takeTurn(): void {
    if (this.isSettled) return
    const { clock, closing } = this.desk.core
    if (closing) return this.reject(endedBefore(this.ask.topic, null))
    const now = clock.now()
    const { unansweredPings, disconnectedAt } = this.desk.core.health()
    const { afterMs = AFTER_MS } = this.ask.rare!
    const healthy = isHealthy(now, unansweredPings, disconnectedAt, afterMs)
    this.#startedAt = now
    this.#enter(beginTurn(now, healthy, this.#bounds))
    if (this.#turn!.phase === 'fallback') return
    // What is not sent when its turn is over must not leave during the turn of another one.
    this.controller = new AbortController()
    this.desk.send(this)
  }

  #enter(turn: Turn): void {
    this.#turn = turn
    this.desk.deadlines.move(this, turn.dueAt)
    if (turn.phase !== 'fallback') return
    // No part of the client settles it but this.
    this.#unlisten = this.desk.core.onEnd((error) =>
      this.reject(endedBefore(this.ask.topic, error)),
    )
    if (!this.isSettled) void this.#fallBack()
  }

  override published(published: Published): void {
    super.published(published)
    if (this.isSettled || this.#turn?.phase !== 'sent') return
    this.#enter(acknowledgeTurn(this.#turn, this.desk.core.clock.now(), this.#bounds))
  }

  override failed(error: unknown): void {
    if (this.#turn?.phase !== 'fallback') super.failed(error)
  }

  protected override expire(): void {
    const turn = this.#turn!
    const next = expireTurn(turn, this.desk.core.clock.now(), this.#bounds)
    if (next === null) {
      this.desk.counts.timedOut++
      const ms = turn.phase === 'sent' ? this.#bounds.ackMs : this.#bounds.responseMs
      return this.reject(tooLate(this.ask.topic, ms, this.isLinkLost))
    }
    this.key = this.operation
    this.#enter(next)
    this.desk.forget(this)
    this.controller?.abort()
  }

  /** The request is answered by the user's function, under the same key. */
  async #fallBack(): Promise<void> {
    const { topic, reading, rare } = this.ask
    if (this.operation === '') {
      this.key = hexOfLatin1(latin1Of(randomCorrelation(() => this.desk.core.clock.random())))
    }
    const controller = new AbortController()
    this.#fallback = controller
    try {
      const request = { topic, payload: this.payload, key: this.operation }
      const given = await rare!.fallback!(request, controller.signal)
      if (this.isSettled) return
      const response = responseOf(reading, topic, fallbackAnswer(given), 'fallback')
      this.desk.counts.viaFallback++
      this.resolve(response)
    } catch (error) {
      this.reject(error)
    }
  }

  protected override get via(): 'mqtt' | 'fallback' {
    return this.#turn?.phase === 'fallback' ? 'fallback' : 'mqtt'
  }

  protected override ended(): void {
    this.#fallback?.abort()
    this.#unlisten?.()
    this.desk.leaveLane(this.#lane, this)
  }
}

function fallbackAnswer(given: string | Uint8Array) {
  return {
    status: 200,
    code: undefined,
    message: undefined,
    seq: -1,
    last: false,
    control: undefined,
    payload: typeof given === 'string' ? encoder.encode(given) : given,
    properties: undefined,
  }
}
