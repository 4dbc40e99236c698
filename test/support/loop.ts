/**
 * A loop at a virtual clock and a scripted server, with a consumer in the background.
 */
import { type Eventloop, eventloop } from '../../src/loop/eventloop.ts'
import type { EventloopOptions, Warning } from '../../src/options/options.ts'
import type { Requests } from '../../src/requests/source.ts'
import type { Control, Incoming, Outcome, Request } from '../../src/requests/vocabulary.ts'
import { peek, VirtualClock } from './clock.ts'
import { ScriptedServer } from './server.ts'

export interface Settled {
  readonly request: Request
  readonly outcome: Outcome
  readonly at: number
}

export interface Surroundings {
  readonly clock?: VirtualClock
  readonly server?: ScriptedServer
  /** Without the background consumer only the test calls `next()`. */
  readonly manual?: boolean
  /** `onSettled` is not given unless the test does. */
  readonly silent?: boolean
}

export interface Started {
  readonly loop: Eventloop
  readonly clock: VirtualClock
  readonly server: ScriptedServer
  /** The packets that the background consumer got. */
  readonly received: Incoming[]
  readonly outcomes: Settled[]
  readonly warnings: Warning[]
  /** The error that `next()` rejected with, or undefined if it has not. */
  readonly error: unknown
  /** Whether the background consumer has ended. */
  readonly ended: boolean
  /** Resolves when the background consumer has ended; never rejects. */
  readonly done: Promise<void>
}

export function startLoop(
  options: EventloopOptions = {},
  requests?: Requests,
  controls?: Iterable<Control> | AsyncIterable<Control>,
  surroundings: Surroundings = {},
): Started {
  const clock = surroundings.clock ?? surroundings.server?.clock ?? new VirtualClock()
  const server = surroundings.server ?? new ScriptedServer(clock)
  const received: Incoming[] = []
  const outcomes: Settled[] = []
  const warnings: Warning[] = []
  const listener: EventloopOptions = {
    onSettled: (request, outcome) => outcomes.push({ request, outcome, at: clock.now() }),
  }
  const others: EventloopOptions = {
    onWarning: (warning) => warnings.push(warning),
  }
  const loop = eventloop(
    {
      ...(options.session === undefined ? { clientId: 'test' } : {}),
      ...(surroundings.silent ? {} : listener),
      ...others,
      platform: clock,
      transport: server.transport,
      ...options,
    },
    requests,
    controls,
  )
  let error: unknown
  let ended = false
  const consume = async () => {
    try {
      for await (const packet of loop) {
        clock.touch()
        received.push(packet)
      }
    } catch (thrown) {
      error = thrown
    }
    ended = true
    clock.touch()
  }
  const done = surroundings.manual ? Promise.resolve() : consume()
  return {
    loop,
    clock,
    server,
    received,
    outcomes,
    warnings,
    done,
    get error() {
      return error
    },
    get ended() {
      return ended
    },
  }
}

/**
 * @returns the next `n` packets of a loop without another consumer. @throws if they do not come
 * without time passing.
 */
export async function collect(started: Started, n: number): Promise<Incoming[]> {
  const packets: Incoming[] = []
  while (packets.length < n) {
    const result = await peek(started.clock, started.loop.next())
    if (result === 'pending') throw new Error(`packet ${packets.length + 1} of ${n} does not come`)
    if ('error' in result) throw result.error
    if (result.value.done) throw new Error(`the loop is done after ${packets.length} of ${n}`)
    packets.push(result.value.value)
  }
  return packets
}
