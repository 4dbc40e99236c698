/**
 * What happens in a simulated run of several services, drawn from a seed: what the broker does, how
 * each process and each listener is set up, and a list of events with the time between them.
 */
import type { Dialling, Direction, Ending } from '../network.ts'
import { ScenarioDraw } from '../scenario-draw.ts'

/** What an API of the simulated services has. */
export const RPCS = [
  ...(['plain', 'again', 'refuse', 'fail', 'later', 'absent'] as const),
  // The input does not fit at the caller, or at the service; the output at the service, or at the
  // caller; the service has another major version.
  ...(['unfit', 'strict', 'wrong', 'odd', 'major'] as const),
] as const
export type RpcName = (typeof RPCS)[number]
export type EventName = 'sold' | 'moved'
/** What a process of the service may be a release of; the last two break what came before. */
export const RELEASES = ['first', 'wider', 'narrower'] as const
export type ReleaseName = (typeof RELEASES)[number]
/** What somebody may leave where a schema belongs, which is no schema of the API. */
export const FORGERIES = ['no JSON', 'another API', 'another hash', 'a cycle', '1 MB'] as const
export type ForgeryName = (typeof FORGERIES)[number]
/** An event with so many failures is never handled. */
export const POISON = 1000
/** So often the events fail that only a later life can handle. */
export const FAILURES_MAX = 2

export interface ListenerSetup {
  readonly name: string
  readonly how: 'handler' | 'iterated'
  readonly events: readonly EventName[]
  readonly onError: 'stop' | 'skip' | 'retry' | 'deadLetter'
  /** Whether `onError` is given as a function. */
  readonly isFunction: boolean
  /** What follows the last retry. */
  readonly then: 'stop' | 'skip' | 'deadLetter'
  readonly concurrency: number
  readonly isOrdered: boolean
  /** Where handled events are remembered: for each process, or for the whole service. */
  readonly dedupe: 'none' | 'memory' | 'own' | 'shared'
  /** 0: without. */
  readonly maxRedeliveries: number
  readonly stream: 'event' | 'api'
}

/** A service has one or two processes; the first one serves the API and fires its events. */
export interface ServiceSetup {
  readonly service: string
  readonly processes: number
  readonly serves: boolean
  /** How many handlers of calls may run. */
  readonly concurrency: number
  readonly answerUnknown: boolean
  readonly listeners: readonly ListenerSetup[]
}

export interface Setup {
  readonly protocolVersion: 4 | 5
  readonly sharedRedistribution: boolean
  readonly noMatchingSubscribers: boolean
  /** How long the schema of the API lies at the broker. */
  readonly schema: 'retained' | 'lease'
  /** Whether somebody looks at the reports of calls and events. */
  readonly isWatched: boolean
  /** Whether others see by presence that a process is there. */
  readonly presence: boolean
  /** What becomes of a process whose API breaks the schema that lies there. */
  readonly onBreaking: 'warn' | 'refuse'
  /** How long every third run of the task of each process takes, in ms. */
  readonly slowTaskMs: number
  readonly services: readonly ServiceSetup[]
}

/** What an event says to its listeners. */
export interface EventOrder {
  readonly event: EventName
  readonly slowMs: number
  /** How many attempts fail, of all lives of a listener together. */
  readonly fails: number
  /** The handler acknowledges it before it ends. */
  readonly early: boolean
  readonly key: string
}

export type Happening =
  | (EventOrder & {
      readonly do: 'fire'
      readonly who: number
      readonly count: number
      readonly durable: boolean
    })
  | {
      readonly do: 'call'
      readonly who: number
      readonly rpc: RpcName
      readonly count: number
      readonly slowMs: number
      readonly timeout: number
    }
  | { readonly do: 'kill'; readonly who: number; readonly awayMs: number }
  | {
      readonly do: 'close'
      readonly who: number
      readonly awayMs: number
      readonly timeout: number
    }
  | { readonly do: 'cut'; readonly who: number; readonly which: number; readonly how: Ending }
  | {
      readonly do: 'breakAfter'
      readonly who: number
      readonly which: number
      readonly direction: Direction
      readonly bytes: number
    }
  | {
      readonly do: 'swallow'
      readonly who: number
      readonly which: number
      readonly direction: Direction | 'both'
    }
  | { readonly do: 'dialling'; readonly who: number; readonly dialling: Dialling }
  | { readonly do: 'latency'; readonly who: number; readonly ms: number }
  | { readonly do: 'store fails'; readonly who: number }
  | { readonly do: 'release'; readonly who: number; readonly name: ReleaseName }
  | { readonly do: 'forge'; readonly name: ForgeryName }
  | { readonly do: 'restart'; readonly keep: boolean }
  | { readonly do: 'packets twice' | 'packets lost'; readonly times: number }

export interface BusScenario {
  readonly seed: number
  readonly setup: Setup
  readonly events: readonly { readonly after: number; readonly what: Happening }[]
}

class Draw extends ScenarioDraw {
  listener(name: string): ListenerSetup {
    const dedupe = this.oneOf('none', 'memory', 'memory', 'own', 'shared')
    const hasStore = dedupe === 'own' || dedupe === 'shared'
    return {
      name,
      how: this.chance(0.75) ? 'handler' : 'iterated',
      events: this.oneOf<readonly EventName[]>(['sold'], ['sold'], ['sold', 'moved']),
      onError: this.oneOf('stop', 'skip', 'retry', 'retry', 'deadLetter'),
      isFunction: this.chance(0.3),
      then: this.oneOf('stop', 'skip', 'deadLetter'),
      concurrency: this.oneOf(1, 1, 3),
      isOrdered: this.chance(0.3),
      dedupe,
      maxRedeliveries: hasStore && this.chance(0.6) ? 1 + this.below(3) : 0,
      stream: this.oneOf('event', 'event', 'api'),
    }
  }

  service(service: string, serves: boolean, listeners: number): ServiceSetup {
    return {
      ...{ service, serves, processes: 1 + this.below(2) },
      concurrency: this.oneOf(1, 16),
      answerUnknown: this.chance(0.8),
      listeners: Array.from({ length: listeners }, (_, i) => this.listener(`l${i}`)),
    }
  }
}

type Kind = readonly [weight: number, draw: () => Happening]

function kindsOf(draw: Draw, firing: number, count: number): readonly Kind[] {
  const who = () => draw.below(count)
  const which = () => draw.below(4)
  const awayMs = () => draw.upTo(draw.chance(0.2) ? 40_000 : 5000)
  const direction = () => draw.oneOf<Direction>('up', 'down')
  const slowMs = () => (draw.chance(0.6) ? 0 : draw.upTo(4000))
  return [
    [
      14,
      () => ({
        ...{ do: 'fire', who: draw.below(firing), count: draw.upTo(12) },
        ...{ durable: draw.chance(0.4), event: draw.oneOf('sold', 'sold', 'moved') },
        ...{ slowMs: slowMs(), fails: draw.oneOf(0, 0, 0, 1, 2, POISON) },
        ...{ early: draw.chance(0.1), key: draw.oneOf('', 'a', 'b') },
      }),
    ],
    [
      10,
      () => ({
        ...{ do: 'call', who: who(), rpc: draw.oneOf(...RPCS), count: draw.upTo(8) },
        ...{ slowMs: slowMs(), timeout: draw.oneOf(500, 5000, 5000, 20_000) },
      }),
    ],
    [5, () => ({ do: 'kill', who: who(), awayMs: awayMs() })],
    [3, () => ({ do: 'close', who: who(), awayMs: awayMs(), timeout: draw.oneOf(10, 1000, 8000) })],
    [3, () => ({ do: 'cut', who: who(), which: which(), how: draw.oneOf('fin', 'reset') })],
    [
      3,
      () => ({
        ...{ do: 'breakAfter', who: who(), which: which() },
        ...{ direction: direction(), bytes: 1 + draw.upTo(600) },
      }),
    ],
    [
      1,
      () => ({
        ...{ do: 'swallow', who: who(), which: which() },
        direction: draw.oneOf('up', 'down', 'both'),
      }),
    ],
    [
      1,
      () => {
        const dialling = draw.oneOf<Dialling>('accept', 'accept', 'refuse', 'hang')
        return { do: 'dialling', who: who(), dialling }
      },
    ],
    [1, () => ({ do: 'latency', who: who(), ms: draw.upTo(500) })],
    [1, () => ({ do: 'store fails', who: who() })],
    [1.2, () => ({ do: 'restart', keep: draw.chance(0.7) })],
    [1.5, () => ({ do: 'packets twice', times: 1 + draw.below(4) })],
    [0.7, () => ({ do: 'packets lost', times: 1 + draw.below(3) })],
  ]
}

/** Draws a scenario. Each has only some kinds of events, so that rare combinations come often. */
export function busScenarioOf(seed: number): BusScenario {
  const draw = new Draw(seed)
  const services = [
    draw.service('shop', true, draw.below(2)),
    draw.service('mail', false, 1 + draw.below(2)),
  ]
  const protocolVersion = draw.oneOf(4, 5, 5, 5)
  // These have draws of their own, so that the stories of seeds stay what they were.
  const others = new Draw(seed ^ 0x2545f491)
  const setup: Setup = {
    protocolVersion,
    sharedRedistribution: draw.chance(0.5),
    noMatchingSubscribers: draw.chance(0.7),
    schema: protocolVersion === 5 && others.chance(0.3) ? 'lease' : 'retained',
    slowTaskMs: others.oneOf(0, 0, 300, 7000),
    onBreaking: others.oneOf('warn', 'refuse'),
    ...{ presence: false, isWatched: false },
    services,
  }
  const firing = services[0]!.processes
  const count = services.reduce((sum, { processes }) => sum + processes, 0)
  const kinds = kindsOf(draw, firing, count)
  const share = 0.15 + draw.random() * 0.6
  const chosen = kinds.filter((_, i) => i < 2 || draw.chance(share))
  const total = chosen.reduce((sum, [weight]) => sum + weight, 0)
  const happening = (): Happening => {
    let at = draw.random() * total
    for (const [weight, one] of chosen) {
      at -= weight
      if (at < 0) return one()
    }
    return chosen[0]![1]()
  }
  const events = Array.from({ length: 6 + draw.below(20) }, () => ({
    after: draw.chance(0.4) ? draw.upTo(6) : draw.upTo(draw.chance(0.8) ? 500 : 8000),
    what: happening(),
  }))
  const releases = others.chance(0.5) ? 0 : 1 + others.below(4)
  for (let i = 0; i < releases; i++) {
    const what = { do: 'release', who: others.below(firing), name: others.oneOf(...RELEASES) }
    const at = others.below(events.length + 1)
    events.splice(at, 0, { after: others.upTo(3000), what: what as Happening })
  }
  const forgeries = others.chance(0.7) ? 0 : 1 + others.below(2)
  for (let i = 0; i < forgeries; i++) {
    const what: Happening = { do: 'forge', name: others.oneOf(...FORGERIES) }
    events.splice(others.below(events.length + 1), 0, { after: others.upTo(3000), what })
  }
  const seenBy = { presence: others.chance(0.3), isWatched: others.chance(0.3) }
  return { seed, setup: { ...setup, ...seenBy }, events }
}
