/**
 * What does the program of the asker do? It publishes, reads its subscriptions, and sends requests,
 * as a user would write it; and everything that it is given is passed to those who check it.
 */
import type { Message, RequestOptions, Response, Subscription } from '../../../src/client/index.ts'
import { Follower, type Messages, payloadOf, type Slot } from './client-messages.ts'
import type { ClientProcess } from './client-process.ts'
import type { Operation, Operations } from './client-requests.ts'
import type { Asking, Happening, Leaving, SlotSetup } from './client-scenario.ts'

/** What a program uses of the world. */
export interface ProgramHost {
  readonly messages: Messages
  readonly operations: Operations
  readonly bodyMs: number
  readonly protocolVersion: 4 | 5
  now(): number
  random(): number
  touch(): void
  say(line: string): void
  problem(id: string, what: string): void
  /** Notes a promise that must be settled at `dueAt`, or as soon as nothing is in its way. */
  track<T>(process: ClientProcess, what: string, promise: Promise<T>, dueAt?: number): Promise<T>
}

/** A lane that is not healthy may use a fallback after this long, in ms. */
const AFTER_MS = 1000
const ACK_LATER_MS = 300

export class Asker {
  readonly process: ClientProcess
  mood: 'steady' | 'slow' | 'stopped' = 'steady'
  readonly #host: ProgramHost
  #woken: (() => void)[] = []
  readonly #drained = new Set<string>()
  readonly #drains = new Set<Follower>()

  constructor(process: ClientProcess, host: ProgramHost) {
    this.process = process
    this.#host = host
    void this.#watchConnection()
    for (const slot of host.messages.slots) this.enter(slot)
  }

  /** After the first one, each connection shows whether the session was lost. */
  async #watchConnection(): Promise<void> {
    const { process } = this
    let count = 0
    try {
      for await (const { to, sessionPresent, at } of process.client.transitions()) {
        this.#host.say(`  ${to} ${sessionPresent}`)
        if (to !== 'connected' || process.isOver || ++count === 1 || sessionPresent) continue
        for (const one of this.#host.messages.followers) {
          if (one.process === process && one.isLive && one.grantedAt < at) one.gapsDue++
        }
      }
    } catch {
      // The error that ended the client is reported by everything else, too.
    }
  }

  // ------------------------------------------------------------------------------ subscriptions

  enter(slot: Slot): void {
    if (slot.follower?.isLive || this.process.isEnding) return
    slot.follower = this.#subscribe(slot.setup, slot)
    const { by } = slot.setup
    if (by === 'next') void this.#read(slot.follower)
    else this.#forEach(slot.follower)
  }

  /** Reads what was left by others, until it ends. */
  drain(filter: string): void {
    if (this.#drained.has(filter)) return
    this.#drained.add(filter)
    const setup = { filters: [filter], qos: 2, acks: 'pull', keeps: false, by: 'next' } as const
    const follower = this.#subscribe({ ...setup, concurrency: 1 }, null)
    this.#drains.add(follower)
    void this.#read(follower)
  }

  async visit(setup: SlotSetup, take: number, how: Leaving): Promise<void> {
    const follower = this.#subscribe(setup, null)
    if (how === 'first') {
      const first = follower.subscription.first({ timeout: 3000 })
      try {
        const due = this.#host.now() + 3000
        const message = await this.#host.track(this.process, 'first()', first, due)
        const number = this.#given(follower, message)
        if (number > 0 && this.process.isAlive) this.#host.messages.handled(follower, number)
      } catch (error) {
        this.#expect('first()', error, ['TIMEOUT', 'ENDED'])
      }
      if (this.process.isAlive) this.#host.messages.left(follower, true)
      return
    }
    await this.#read(follower, take)
    await this.leave(follower, how)
  }

  /** Those who came for a while leave now. */
  endVisits(): void {
    for (const follower of this.#host.messages.followers) {
      const { process, slot } = follower
      if (process !== this.process || slot !== null || this.#drains.has(follower)) continue
      void this.leave(follower, 'break')
    }
  }

  async leave(follower: Follower, how: 'break' | 'throw'): Promise<void> {
    if (!follower.isLive) return
    const { subscription } = follower
    const error = new Error('thrown')
    const left =
      how === 'break'
        ? subscription.return!()
        : subscription.throw!(error).catch((thrown) => {
            if (thrown !== error) this.#host.problem('M5', `throw() rejected with ${thrown}`)
          })
    this.#host.messages.left(follower, false)
    await this.#host.track(this.process, `${how} of ${follower.setup.filters}`, left)
  }

  #subscribe(setup: SlotSetup, slot: Slot | null): Follower {
    const { filters, qos, acks, keeps } = setup
    const { process } = this
    const onLeave = keeps ? 'keep' : 'release'
    const subscription = process.client.subscribe(filters, { qos, acks, onLeave })
    const follower = new Follower(process, subscription as Subscription, setup, slot)
    this.#host.messages.entered(follower)
    const granted = this.#host.track(process, `granted of ${filters}`, subscription.granted)
    granted.then(
      () => {
        if (process.isAlive) this.#host.messages.granted(follower, this.#host.now())
      },
      (error) => this.#expect('granted', error, ['ENDED'], follower.hasLeft),
    )
    void this.#watch(follower)
    return follower
  }

  async #watch(follower: Follower): Promise<void> {
    for await (const { gap } of follower.subscription.transitions()) {
      this.#host.say(`  transition of ${follower.setup.filters}, gap ${gap}`)
      if (gap && this.process.isAlive) follower.gaps++
    }
  }

  /** Takes messages as `for await` does, `most` of them. */
  async #read(follower: Follower, most = Number.POSITIVE_INFINITY): Promise<void> {
    const { process } = this
    const { subscription, setup, handled } = follower
    const messages = subscription[Symbol.asyncIterator]()
    for (let count = 0; count < most; count++) {
      await this.#ready()
      if (process.isDead || follower.hasLeft) return
      if (setup.acks === 'pull') {
        for (const number of follower.given.keys()) {
          if (!handled.has(number)) this.#host.messages.handled(follower, number)
        }
      }
      try {
        const next = this.#host.track(process, `next() of ${setup.filters}`, messages.next())
        const { done, value } = await next
        this.#host.touch()
        if (done || process.isDead) return
        this.#take(follower, value)
      } catch (error) {
        return this.#expect('next()', error, [])
      }
    }
  }

  #take(follower: Follower, message: Message): void {
    const { process } = this
    const number = this.#given(follower, message)
    const { acks } = follower.setup
    if (number === 0) return
    // What comes again after it was handled is to be handled again.
    if (acks === 'pull') follower.handled.delete(number)
    if (acks === 'receipt') this.#host.messages.handled(follower, number)
    if (acks !== 'manual') return
    const ms = this.#host.random() < 0.5 ? 0 : this.#host.random() * ACK_LATER_MS
    process.later(() => {
      if (process.isOver || follower.hasLeft) return
      this.#host.messages.handled(follower, number)
      message.ack()
    }, ms)
  }

  #forEach(follower: Follower): void {
    const { process } = this
    const { subscription, setup } = follower
    const handle = async (message: Message) => {
      if (process.isDead) return
      const number = this.#given(follower, message)
      await this.#ready()
      if (number > 0 && process.isAlive && !follower.hasLeft) {
        this.#host.messages.handled(follower, number)
      }
    }
    const done = subscription.forEach(handle, { concurrency: setup.concurrency })
    this.#host
      .track(process, `forEach() of ${setup.filters}`, done)
      .catch((error) => this.#expect('forEach()', error, []))
  }

  #given(follower: Follower, message: Message): number {
    if (this.process.isDead) return 0
    const number = this.#host.messages.given(follower, message)
    this.#host.say(`  ${follower.setup.filters} is given ${number} at QoS ${message.qos}`)
    return number
  }

  async #ready(): Promise<void> {
    const { bodyMs } = this.#host
    if (this.mood === 'slow' && bodyMs > 0) await this.process.sleep(this.#host.random() * bodyMs)
    while (this.mood === 'stopped' && !this.process.isOver) {
      await new Promise<void>((resolve) => this.#woken.push(resolve))
    }
  }

  wake(): void {
    const woken = this.#woken
    this.#woken = []
    for (const wake of woken) wake()
  }

  #expect(what: string, error: unknown, codes: readonly string[], hasLeft = false): void {
    const { process } = this
    if (process.isDead || hasLeft) return
    const { code = '', message } = (error ?? {}) as { code?: string; message?: string }
    // A client that its program does not end may end by itself; then everybody is told why.
    if (process.isEnding || process.isOver || codes.includes(code)) return
    if (process.hasFailed) return
    this.#host.problem('M2', `${what} failed: ${code} ${message}`)
  }

  // ------------------------------------------------------------------------------------ publishes

  publish({ qos, topic, bytes, timeout, cancelMs }: Extract<Happening, { do: 'publish' }>): void {
    const { process } = this
    const { number } = this.#host.messages.add(topic, qos, 'own')
    const cancel = new AbortController()
    if (cancelMs > 0) process.later(() => cancel.abort(new Error('cancelled')), cancelMs)
    const options = {
      qos,
      ...(cancelMs > 0 ? { signal: cancel.signal } : {}),
      ...(timeout > 0 ? { timeout } : {}),
    }
    const due = timeout > 0 ? this.#host.now() + timeout : undefined
    const published = process.client.publish(topic, payloadOf(number, bytes), options)
    this.#host.track(process, `publish ${number}`, published, due).then(
      () => {
        if (process.isDead || qos === 0) return
        if (this.#host.messages.sent[number - 1]!.arrivals > 0) return
        this.#host.problem('M2', `publish ${number} is settled and never arrived`)
      },
      (error) => this.#unpublished(number, error, timeout > 0, cancel.signal.aborted),
    )
  }

  #unpublished(number: number, error: unknown, mayTimeOut: boolean, isCancelled: boolean): void {
    const { process } = this
    if (process.isDead) return
    const { code = '', message } = (error ?? {}) as { code?: string; message?: string }
    if (code === 'TIMEOUT' && mayTimeOut) return
    if (message === 'cancelled' && isCancelled) return
    if (code !== 'ENDED' || !(process.isEnding || process.isOver || process.hasFailed)) {
      return this.#host.problem('M2', `publish ${number} failed: ${code} ${message}`)
    }
    // A call after the end says ENDED, too, and was never taken.
    const { held } = error as { held?: boolean }
    process.unsettled.set(number, held ?? false)
  }

  // ------------------------------------------------------------------------------------- requests

  ask(asking: Asking): void {
    const { process } = this
    const operation = this.#host.operations.begin(asking, process)
    if (operation.asking.form === 'many') void this.#askMany(operation)
    else this.#askOne(operation)
  }

  #optionsOf({ id, key, asking }: Operation): RequestOptions {
    return {
      timeout: asking.timeout,
      qos: asking.qos,
      key,
      properties: { userProperties: { operation: `${id}` } },
    }
  }

  #payloadOf(operation: Operation): string {
    const { id, asking } = operation.base ?? operation
    const { doing, handlerMs, parts } = asking
    return JSON.stringify({ id, doing, handlerMs, parts })
  }

  #topicOf({ asking, id }: Operation): string {
    return `${asking.to}/topic${id % 3}`
  }

  #askOne(operation: Operation): void {
    const { process } = this
    const { asking, key, id } = operation
    const lane: RequestOptions =
      asking.form === 'lane'
        ? {
            lane: `lane ${asking.lane}`,
            ...(asking.fallback ? { fallback: () => `fallback ${key}`, afterMs: AFTER_MS } : {}),
          }
        : { retry: asking.retry }
    const options = { ...this.#optionsOf(operation), ...lane }
    const topic = this.#topicOf(operation.base ?? operation)
    const answered = process.client.request(topic, this.#payloadOf(operation), options)
    const due = asking.form === 'lane' ? undefined : this.#host.now() + asking.timeout
    const tracked = this.#host.track(process, `request ${id}`, answered, due)
    tracked.then(
      (response) => {
        this.#settles(operation)
        this.#answered(operation, response, 0)
      },
      (error) => {
        this.#settles(operation)
        if (process.isAlive) this.#host.operations.checkError(operation, error)
      },
    )
  }

  #settles(operation: Operation): void {
    if (this.process.isDead) return
    operation.settledAt = this.#host.now()
    const { asking, id } = operation
    if (asking.form !== 'lane') return
    const lane = this.#host.operations.laneOf(operation)
    const before = lane.filter((one) => one.id < id).map((one) => one.settledAt)
    const turn = Math.max(operation.startedAt, ...before)
    const ms = operation.settledAt - turn
    if (ms >= 2 * asking.timeout + 2)
      this.#host.problem('Q12', `request ${id} took ${ms} ms of its turn`)
  }

  #answered(operation: Operation, response: Response, part: number): void {
    if (this.process.isDead) return
    const text = new TextDecoder().decode(response.payload)
    this.#host.say(`  request ${operation.id} is given "${text}" (${response.status})`)
    this.#host.operations.checkResponse(operation, text, response.status, response.via, part)
  }

  async #askMany(operation: Operation): Promise<void> {
    const { process } = this
    const { asking, id } = operation
    const topic = this.#topicOf(operation.base ?? operation)
    const payload = this.#payloadOf(operation)
    const options = this.#optionsOf(operation)
    const responses = process.client.requestMany(topic, payload, options)
    const due = this.#host.now() + asking.timeout
    let count = 0
    try {
      for (;;) {
        const next = this.#host.track(process, `part ${count} of ${id}`, responses.next(), due)
        const { done, value } = await next
        if (process.isDead) return
        if (done) break
        this.#answered(operation, value, count++)
        if (count < asking.max) continue
        await this.#host.track(process, `break of request ${id}`, responses.return!())
        break
      }
      const { doing, parts } = (operation.base ?? operation).asking
      if (doing === 'stream' && count < Math.min(parts, asking.max)) {
        this.#host.problem('Q9', `request ${id} ended after ${count} of ${parts} parts`)
      }
    } catch (error) {
      if (process.isAlive) this.#host.operations.checkError(operation, error)
    }
    operation.settledAt = this.#host.now()
  }
}
