/**
 * Who answers the calls of a tested bus, and fires the events of others? One more service at the
 * broker. It has the APIs as they are, and one more error for each rpc, so that a call without a
 * mock says what is missing.
 */
import { UsageError } from '../../index.ts'
import { type Api, type ApiRpc, defineApi, type Fired, type FireOptions } from '../index.ts'
import { type FakePlace, FakeProcess } from './fake-process.ts'
import type { MockAnswer } from './fake-types.ts'
import { type StubMaker, stubMaker } from './stub-maker.ts'

/** How the service of the mocks is named; `by` of events that `fireFrom()` fires shows it. */
export const MOCK_NAMES = { service: 'others', process: 'fake' } as const

/** The code with which calls without a mock are rejected. */
const NOT_MOCKED = 'NOT_MOCKED'
const MOCKS_CLOSE_MS = 1

/** Takes everything: the error has no data. */
const ANYTHING = {
  '~standard': { version: 1, vendor: 'it-mqtt', validate: (value: unknown) => ({ value }) },
} as const

interface AnyCall {
  fail(code: string, data: unknown, message: string): never
  readonly signal: AbortSignal
}
type AnyAnswer = (input: unknown, call: AnyCall) => unknown

/** What is to be done about a call without a mock. */
interface Missing {
  readonly isRequired: boolean
  readonly stubs: boolean
}

export class MockedServices {
  readonly #process: FakeProcess
  readonly #missing: Missing
  readonly #stubs: StubMaker
  readonly #answers = new Map<Api, Map<string, MockAnswer>>()
  /** The APIs as the service of the mocks has them, by the APIs as they are. */
  readonly #served = new Map<Api, Api>()
  #ready: Promise<void> | null = null
  #failure: unknown = null

  constructor(
    place: FakePlace,
    apis: readonly Api[],
    missing: Missing,
    options: ConstructorParameters<typeof FakeProcess>[1],
  ) {
    this.#missing = missing
    this.#stubs = stubMaker()
    this.#process = new FakeProcess({ ...place, ready: async () => {} }, options)
    for (const api of apis) {
      this.#answers.set(api, new Map())
      this.#served.set(api, withMissing(api))
    }
  }

  /** Begins at the first call. @returns a promise that resolves when all APIs are subscribed. */
  ready(): Promise<void> {
    this.#ready ??= this.#start()
    return this.#ready
  }

  async #start(): Promise<void> {
    if (this.#served.size === 0) return
    const { bus } = this.#process
    const granted = [...this.#served].map(([api, own]) => {
      const handlers = Object.keys(api.rpcs).map((name) => [
        name,
        (input: unknown, call: AnyCall) => this.#answer(api, name, input, call),
      ])
      return bus.serve(own, Object.fromEntries(handlers)).granted
    })
    bus.run().catch((error: unknown) => {
      this.#failure = error
    })
    await Promise.all(granted)
  }

  mock(api: Api, rpc: string, answer: MockAnswer): void {
    const answers = this.#of('mock', api)
    if (!Object.hasOwn(api.rpcs, rpc)) {
      const names = Object.keys(api.rpcs).join(', ') || 'none'
      throw new UsageError(`mock: ${api.name} has no rpc "${rpc}"; it has: ${names}`)
    }
    answers.set(rpc, answer)
  }

  #of(what: string, api: Api): Map<string, MockAnswer> {
    const answers = this.#answers.get(api)
    if (answers !== undefined) return answers
    const name = typeof api?.name === 'string' ? api.name : String(api)
    const remedy = 'give it the API in `apis`'
    throw new UsageError(`${what}: this fake bus does not stand for ${name}: ${remedy}`)
  }

  async #answer(api: Api, name: string, input: unknown, call: AnyCall): Promise<unknown> {
    const answers = this.#answers.get(api)!
    if (answers.has(name)) {
      const answer = answers.get(name)
      if (typeof answer === 'function') return (answer as AnyAnswer)(input, call)
      if (answer instanceof Error) throw answer
      return answer
    }
    const remedy = `write \`fake.mock(api, '${name}', …)\` before it`
    if (this.#missing.stubs) {
      try {
        return await this.#stubs.answer(api.rpcs[name]!)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        const what = `${api.name} ${name} has no mock, and no stub can be made: ${why}`
        return call.fail(NOT_MOCKED, null, `${what}; ${remedy}`)
      }
    }
    if (this.#missing.isRequired) {
      const what = `${api.name} ${name} was called and has no mock`
      const others = "or give fakeBus() `stubs: 'fromSchema'`"
      return call.fail(NOT_MOCKED, null, `${what}; ${remedy}, ${others}`)
    }
    return new Promise((_, reject) => {
      call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true })
    })
  }

  async fire(api: Api, event: string, payload: unknown, options?: FireOptions): Promise<Fired> {
    this.#of('fireFrom', api)
    await this.ready()
    return this.#process.bus.fire(this.#served.get(api)!, event, payload as never, options)
  }

  /** @throws what ended the service. */
  async close(): Promise<void> {
    await this.#process.bus.close({ timeout: MOCKS_CLOSE_MS })
    if (this.#failure !== null) throw this.#failure
  }
}

/** @returns the API with an error for calls that have no mock. */
function withMissing(api: Api): Api {
  const { name, version, events } = api
  const rpcs = Object.entries(api.rpcs).map(([rpc, definition]): [string, ApiRpc] => [
    rpc,
    { ...definition, errors: { ...definition.errors, [NOT_MOCKED]: ANYTHING } },
  ])
  return defineApi({ name, version, events, rpcs: Object.fromEntries(rpcs) })
}
