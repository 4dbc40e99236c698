/**
 * What does the program of the answerer do? Handlers answer the requests of one filter, and a loop
 * those of another one; the payload of a request says how.
 */
import type { IncomingRequest } from '../../../src/client/index.ts'
import type { ProgramHost } from './client-asker.ts'
import type { ClientProcess } from './client-process.ts'
import type { Doing } from './client-scenario.ts'

interface Order {
  readonly id: number
  readonly doing: Doing
  readonly handlerMs: number
  readonly parts: number
}

export class Answerer {
  readonly #process: ClientProcess
  readonly #host: ProgramHost

  constructor(
    process: ClientProcess,
    host: ProgramHost,
    concurrency: number,
    responseQos: 0 | 1 | 2,
  ) {
    this.#process = process
    this.#host = host
    const { client } = process
    const responder = client.respond('call/+', (request) => this.#handle(request), {
      concurrency,
      responseQos,
    })
    this.#lasts('done', responder.done)
    this.#lasts('run()', client.run())
    void this.#pull(responseQos)
  }

  #lasts(what: string, promise: Promise<void>): void {
    const { process } = { process: this.#process }
    this.#host.track(process, what, promise).catch((error) => {
      if (process.isDead || process.isEnding || process.hasFailed) return
      this.#host.problem('M2', `${what} failed: ${error}`)
    })
  }

  #begin(request: IncomingRequest): { readonly order: Order; readonly over: () => void } {
    const { operation } = request.userProperties
    const id = Number(operation)
    this.#host.say(`  request ${id} (${request.key}) is executed`)
    const over = this.#host.operations.executes(id, request.deadline, this.#process)
    return { order: JSON.parse(new TextDecoder().decode(request.payload)) as Order, over }
  }

  async #handle(request: IncomingRequest): Promise<unknown> {
    if (this.#process.isDead) return new Promise(() => {})
    const { order, over } = this.#begin(request)
    try {
      if (order.handlerMs > 0) await this.#process.sleep(order.handlerMs)
      switch (order.doing) {
        case 'throw':
          throw new Error('as ordered')
        case 'fail':
          // An answer ends it for the responder: the next request has its place from now on.
          over()
          return await request.fail('NOPE')
        case 'never':
          return await untilAborted(request.signal)
        case 'stream':
          return this.#parts(order)
        case 'nothing':
          return
        default:
          return `${order.id}`
      }
    } finally {
      over()
    }
  }

  async *#parts({ id, parts }: Order): AsyncGenerator<string> {
    for (let i = 0; i < parts; i++) yield `${id}/${i}`
  }

  async #pull(responseQos: 0 | 1 | 2): Promise<void> {
    const process = this.#process
    const requests = process.client.requests('pull/+', { responseQos })
    for (;;) {
      try {
        const { done, value } = await this.#host.track(process, 'a request', requests.next())
        if (done || process.isDead) return
        await this.#answer(value)
      } catch (error) {
        if (process.isDead || process.isEnding || process.hasFailed) return
        this.#host.problem('M2', `requests() failed: ${error}`)
        return
      }
    }
  }

  async #answer(request: IncomingRequest): Promise<void> {
    const { order, over } = this.#begin(request)
    if (order.handlerMs > 0) await this.#process.sleep(order.handlerMs)
    if (this.#process.isDead) return
    over()
    switch (order.doing) {
      case 'never':
        return
      case 'fail':
      case 'throw':
        return request.fail('NOPE')
      case 'stream':
        return request.respond(this.#parts(order))
      case 'nothing':
        return request.respond()
      default:
        return request.respond(`${order.id}`)
    }
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason)
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}
