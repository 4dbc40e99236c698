/**
 * What happens in a simulated run of several members and watchers, drawn from a seed: what the
 * broker does with wills and with expiry, how each process is set up, and a list of events with the
 * time between them.
 */
import type { BrokerHabits } from '../../../src/testing/index.ts'
import type { Memory } from '../client/client-scenario.ts'
import type { Dialling, Direction, Ending } from '../network.ts'
import { ScenarioDraw } from '../scenario-draw.ts'

export const SPACES = ['room/1', 'b'] as const
export type Mood = 'steady' | 'slow' | 'stopped'

export interface MemberSetup {
  readonly memory: Memory
  readonly keepAlive: number
  /** In seconds. */
  readonly ttl: number
  readonly grace: number
  readonly recordTtl: number
  readonly janitor: boolean
  /** Nobody but its loops over `changes()` reads, and these rest after each change. */
  readonly pauses: boolean
  /** Whether the server forgets its session when its connection is lost. MQTT 5. */
  readonly isForgotten?: boolean
  /** The spaces that a process watches from its beginning. */
  readonly watches: readonly number[]
}

export interface Setup {
  readonly protocolVersion: 4 | 5
  readonly habits: BrokerHabits
  readonly members: readonly MemberSetup[]
}

/** What is written to the topics of presence by somebody who should not. */
export type Tampering =
  | 'clear the connection'
  | 'clear a member'
  | 'the will of now'
  | 'a will of before'
  | 'garbage for the connection'
  | 'garbage elsewhere'

export type Happening =
  | {
      readonly do: 'enter' | 'update' | 'leave'
      readonly who: number
      readonly space: number
      /** 0: the process itself; else on behalf of this other client. */
      readonly other: number
    }
  | { readonly do: 'watch' | 'unwatch' | 'get'; readonly who: number; readonly space: number }
  | { readonly do: 'dispose'; readonly who: number; readonly space: number }
  | { readonly do: 'mood'; readonly who: number; readonly mood: Mood }
  | { readonly do: 'kill'; readonly who: number; readonly awayMs: number }
  | { readonly do: 'close'; readonly who: number; readonly awayMs: number }
  | { readonly do: 'suspend'; readonly who: number; readonly ms: number }
  | { readonly do: 'cut'; readonly who: number; readonly how: Ending }
  | {
      readonly do: 'breakAfter'
      readonly who: number
      readonly direction: Direction
      readonly bytes: number
    }
  | { readonly do: 'swallow'; readonly who: number; readonly direction: Direction | 'both' }
  | { readonly do: 'dialling'; readonly who: number; readonly dialling: Dialling }
  | { readonly do: 'latency'; readonly who: number; readonly ms: number }
  | { readonly do: 'restart'; readonly keep: boolean }
  | { readonly do: 'tamper'; readonly who: number; readonly how: Tampering }
  | { readonly do: 'packets twice' | 'packets lost'; readonly times: number }

export interface Event {
  /** Virtual ms since the previous event. */
  readonly after: number
  readonly what: Happening
}

export interface PresenceScenario {
  readonly seed: number
  readonly setup: Setup
  readonly events: readonly Event[]
}

/** Longer than any scenario, in ms: who is away so long does not come back. */
export const FOR_GOOD_MS = 100_000_000

class Draw extends ScenarioDraw {
  habits(): BrokerHabits {
    // A third of the brokers do everything right.
    const isRight = this.chance(0.33)
    const switched = <T>(right: T, ...wrong: readonly T[]): T =>
      isRight || this.chance(0.5) ? right : this.oneOf(...wrong)
    return {
      willPublished: switched(true, false),
      willDelayed: switched(true, false),
      willLateMs: switched(0, 1 + this.upTo(15_000)),
      willOnTakeover: switched<boolean | 'new'>(true, false, 'new', 'new'),
      retainedExpires: switched(true, false),
      expiryCountsDown: switched(true, false),
      retainedTiming: this.oneOf('afterSuback', 'afterSuback', 'beforeSuback', 'late'),
      overlap: this.oneOf('merged', 'separate', 'one-id'),
    }
  }

  member(): MemberSetup {
    return {
      memory: this.oneOf('none', 'none', 'store', 'text'),
      keepAlive: this.oneOf(2, 5, 5),
      ttl: this.oneOf(10, 10, 20),
      grace: this.oneOf(0, 1, 3),
      recordTtl: this.oneOf(0, 86_400, 60),
      janitor: this.chance(0.3),
      watches: this.oneOf([], [0], [0], [0, 1]),
      pauses: this.chance(0.25),
    }
  }
}

type Kind = readonly [weight: number, draw: () => Happening]

function kindsOf(draw: Draw, count: number): readonly Kind[] {
  const who = () => draw.below(count)
  const space = () => (draw.chance(0.75) ? 0 : 1)
  const other = () => (draw.chance(0.8) ? 0 : 1 + draw.below(2))
  const place = () => ({ who: who(), space: space() })
  const awayMs = () => (draw.chance(0.3) ? FOR_GOOD_MS : draw.upTo(12_000))
  const direction = () => draw.oneOf<Direction>('up', 'down')
  const tampering = () =>
    draw.oneOf<Tampering>(
      ...(['clear the connection', 'clear a member', 'the will of now'] as const),
      ...(['a will of before', 'garbage for the connection', 'garbage elsewhere'] as const),
    )
  return [
    [12, () => ({ do: 'enter', ...place(), other: other() })],
    [8, () => ({ do: 'update', ...place(), other: other() })],
    [4, () => ({ do: 'leave', ...place(), other: other() })],
    [2, () => ({ do: 'watch', ...place() })],
    [1, () => ({ do: 'unwatch', ...place() })],
    [2, () => ({ do: 'get', ...place() })],
    [1, () => ({ do: 'dispose', ...place() })],
    [1, () => ({ do: 'mood', who: who(), mood: draw.oneOf<Mood>('steady', 'slow', 'stopped') })],
    [4, () => ({ do: 'kill', who: who(), awayMs: awayMs() })],
    [2, () => ({ do: 'close', who: who(), awayMs: awayMs() })],
    [2, () => ({ do: 'suspend', who: who(), ms: draw.upTo(25_000) })],
    [3, () => ({ do: 'cut', who: who(), how: draw.oneOf('fin', 'reset') })],
    [
      2,
      () => ({ do: 'breakAfter', who: who(), direction: direction(), bytes: 1 + draw.upTo(400) }),
    ],
    [2, () => ({ do: 'swallow', who: who(), direction: draw.oneOf('up', 'down', 'both') })],
    [
      1.5,
      () => {
        const dialling = draw.oneOf<Dialling>('accept', 'accept', 'refuse', 'hang')
        return { do: 'dialling', who: who(), dialling }
      },
    ],
    [1, () => ({ do: 'latency', who: who(), ms: draw.upTo(800) })],
    [1.5, () => ({ do: 'restart', keep: draw.chance(0.6) })],
    [2, () => ({ do: 'tamper', who: who(), how: tampering() })],
    [0.7, () => ({ do: 'packets twice', times: 1 + draw.below(4) })],
    [0.7, () => ({ do: 'packets lost', times: 1 + draw.below(3) })],
  ]
}

/** Draws a scenario. Each has only some kinds of events, so that rare combinations come often. */
export function presenceScenarioOf(seed: number): PresenceScenario {
  const draw = new Draw(seed)
  const members = Array.from({ length: 2 + draw.below(3) }, () => draw.member())
  // Somebody watches from the beginning.
  members[0] = { ...members[0]!, watches: [0] }
  const setup: Setup = { protocolVersion: draw.oneOf(4, 5, 5), habits: draw.habits(), members }
  const kinds = kindsOf(draw, members.length)
  // Members always come and change; of the rest, what chance picks happens.
  const share = 0.1 + draw.random() * 0.6
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
  const events = Array.from({ length: 6 + draw.below(22) }, () => ({
    after: draw.chance(0.3) ? 0 : draw.upTo(draw.chance(0.8) ? 800 : 15_000),
    what: happening(),
  }))
  return { seed, setup, events }
}
