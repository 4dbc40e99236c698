/**
 * What happens in a simulated run of two clients, drawn from a seed: how both are set up, and a
 * list of events with the time between them.
 */
import type { Dialling, Direction, Ending } from '../network.ts'
import { ScenarioDraw } from '../scenario-draw.ts'

export type Who = 'asker' | 'answerer'
/** What outlives a process: nothing; a text, if it ends in order; or a store, if it is killed. */
export type Memory = 'none' | 'text' | 'store'
export type Acks = 'pull' | 'receipt' | 'manual'
export type Leaving = 'break' | 'throw' | 'first'
type Level = 0 | 1 | 2

export interface PartySetup {
  readonly memory: Memory
  readonly keepAlive: number
  readonly receiveMaximum: number
  readonly maxInflight: number
  readonly maxQueued: number
  readonly ackTimeoutMs: number
}

/** A subscription that each process of the asker has from its beginning. */
export interface SlotSetup {
  readonly filters: readonly string[]
  readonly qos: Level
  readonly acks: Acks
  readonly keeps: boolean
  readonly by: 'next' | 'forEach'
  readonly concurrency: number
}

export interface Setup {
  readonly protocolVersion: 4 | 5
  readonly asker: PartySetup
  readonly answerer: PartySetup
  readonly overlap: 'merged' | 'separate' | 'one-id'
  /** Whether filters of the asker match the same topics. */
  readonly overlaps: boolean
  readonly maxInflight: number
  readonly slots: readonly SlotSetup[]
  readonly responseQos: Level
  readonly concurrency: number
  /** How long the body of a loop or a handler takes at most, in ms. */
  readonly bodyMs: number
}

export type Doing = 'value' | 'nothing' | 'throw' | 'fail' | 'never' | 'stream'

export interface Asking {
  readonly form: 'one' | 'many' | 'lane'
  /** Answered by a handler, or by one who pulls. */
  readonly to: 'call' | 'pull'
  readonly qos: Level
  readonly timeout: number
  readonly retry: 'never' | 'lost'
  readonly handlerMs: number
  readonly doing: Doing
  /** How many parts a stream has, and after how many responses the requester leaves. */
  readonly parts: number
  readonly max: number
  readonly lane: number
  readonly fallback: boolean
  /** 0: the key of its own; 1: that of the request before; 2: that key with another payload. */
  readonly keyOf: 0 | 1 | 2
}

export type Happening =
  | {
      readonly do: 'publish'
      readonly qos: Level
      readonly topic: string
      readonly count: number
      readonly bytes: number
      readonly timeout: number
      readonly cancelMs: number
    }
  | {
      readonly do: 'offer'
      readonly qos: Level
      readonly topic: string
      readonly count: number
      readonly bytes: number
    }
  | { readonly do: 'visit'; readonly slot: SlotSetup; readonly take: number; readonly how: Leaving }
  | { readonly do: 'leave'; readonly slot: number; readonly how: 'break' | 'throw' }
  | { readonly do: 'enter'; readonly slot: number }
  | { readonly do: 'mood'; readonly mood: 'steady' | 'slow' | 'stopped' }
  | { readonly do: 'ask'; readonly count: number; readonly asking: Asking }
  | { readonly do: 'ping'; readonly who: Who }
  | { readonly do: 'kill'; readonly who: Who; readonly awayMs: number }
  | { readonly do: 'close'; readonly who: Who; readonly awayMs: number; readonly timeout: number }
  | { readonly do: 'abort'; readonly who: Who; readonly awayMs: number }
  | { readonly do: 'disk full'; readonly who: Who }
  | { readonly do: 'cut'; readonly who: Who; readonly how: Ending }
  | {
      readonly do: 'breakAfter'
      readonly who: Who
      readonly direction: Direction
      readonly bytes: number
    }
  | { readonly do: 'swallow'; readonly who: Who; readonly direction: Direction | 'both' }
  | { readonly do: 'dialling'; readonly who: Who; readonly dialling: Dialling }
  | { readonly do: 'latency'; readonly who: Who; readonly ms: number }
  | { readonly do: 'restart'; readonly keep: boolean }
  | { readonly do: 'acks'; readonly fault: 'drop' | 'delay'; readonly ms: number; times: number }
  | { readonly do: 'packets twice'; readonly times: number }

export interface Event {
  /** Virtual ms since the previous event. */
  readonly after: number
  readonly what: Happening
}

export interface ClientScenario {
  readonly seed: number
  readonly setup: Setup
  readonly events: readonly Event[]
}

/** Filters no two of which match the same topic, and filters that do. */
const APART = [['a/#'], ['b/+'], ['c/1', 'c/2'], ['d']] as const
const OVERLAPPING = [['a/#'], ['a/+', 'b/1'], ['+/1'], ['a/1']] as const
export const TOPICS = ['a/1', 'a/2/3', 'b/1', 'c/1', 'c/2', 'd', 'nobody/1'] as const

/** Draws from a seed. */
class Draw extends ScenarioDraw {
  party(): PartySetup {
    return {
      memory: this.oneOf('store', 'store', 'text', 'none'),
      keepAlive: this.oneOf(0, 0, 2, 5),
      receiveMaximum: this.chance(0.5) ? 1 + this.below(4) : 100,
      maxInflight: this.chance(0.4) ? 1 + this.below(4) : 1000,
      maxQueued: this.chance(0.3) ? 1 + this.below(4) : 10_000,
      ackTimeoutMs: this.chance(0.2) ? 500 + this.below(3000) : 0,
    }
  }

  slot(filters: readonly string[]): SlotSetup {
    return {
      filters,
      qos: this.oneOf(0, 1, 1, 2, 2),
      acks: this.oneOf<Acks>('pull', 'pull', 'pull', 'manual', 'receipt'),
      keeps: this.chance(0.6),
      by: this.chance(0.7) ? 'next' : 'forEach',
      concurrency: 1 + this.below(3),
    }
  }

  setup(): Setup {
    const overlaps = this.chance(0.3)
    const filters: readonly (readonly string[])[] = overlaps ? OVERLAPPING : APART
    return {
      protocolVersion: this.oneOf(4, 5, 5),
      asker: this.party(),
      answerer: this.party(),
      overlap: this.oneOf('merged', 'separate', 'one-id'),
      overlaps,
      maxInflight: this.chance(0.3) ? 1 + this.below(4) : 65_535,
      slots: filters.slice(0, 1 + this.below(3)).map((one) => this.slot(one)),
      responseQos: this.oneOf(0, 0, 1, 2),
      concurrency: this.chance(0.5) ? 1 + this.below(3) : 16,
      bodyMs: this.oneOf(0, 0, 20, 300),
    }
  }

  asking(): Asking {
    return {
      form: this.oneOf('one', 'one', 'many', 'lane'),
      to: this.oneOf('call', 'call', 'pull'),
      qos: this.oneOf(0, 1, 1, 2),
      timeout: 200 + this.upTo(8000),
      retry: this.oneOf('never', 'lost'),
      handlerMs: this.chance(0.5) ? 0 : this.upTo(2000),
      doing: this.oneOf<Doing>('value', 'value', 'value', 'nothing', 'throw', 'fail', 'never'),
      parts: this.upTo(this.chance(0.1) ? 150 : 6),
      max: this.chance(0.7) ? 1000 : 1 + this.below(4),
      lane: this.below(2),
      fallback: this.chance(0.2),
      keyOf: this.chance(0.75) ? 0 : this.chance(0.7) ? 1 : 2,
    }
  }
}

type Kind = readonly [weight: number, draw: () => Happening]

function whatTheyDo(draw: Draw, setup: Setup): readonly Kind[] {
  const level = () => draw.oneOf<Level>(0, 1, 1, 2, 2)
  const who = () => draw.oneOf<Who>('asker', 'answerer')
  const bytes = () => (draw.chance(0.95) ? draw.below(40) : draw.below(2000))
  const awayMs = () => draw.upTo(3000)
  const topic = () => draw.oneOf(...TOPICS)
  const filters = () => draw.oneOf(...(setup.overlaps ? OVERLAPPING : APART))
  const publish = (): Happening => {
    const timeout = draw.chance(0.1) ? 1 + draw.upTo(3000) : 0
    const cancelMs = draw.chance(0.1) ? 1 + draw.upTo(2000) : 0
    const count = 1 + draw.upTo(6)
    return { do: 'publish', qos: level(), topic: topic(), count, bytes: bytes(), timeout, cancelMs }
  }
  const ask = (): Happening => {
    const asking = draw.asking()
    const { form, to } = asking
    const streams = form === 'many' && to === 'call' && draw.chance(0.6)
    const count = draw.chance(0.6) ? 1 : 1 + draw.upTo(5)
    return { do: 'ask', count, asking: streams ? { ...asking, doing: 'stream' } : asking }
  }
  return [
    [9, publish],
    [9, () => ({ do: 'offer', qos: level(), topic: topic(), count: 1 + draw.upTo(8), bytes: 9 })],
    [12, ask],
    [
      3,
      () => {
        const how = draw.oneOf<Leaving>('break', 'throw', 'first')
        return { do: 'visit', slot: draw.slot(filters()), take: draw.below(4), how }
      },
    ],
    [2, () => ({ do: 'leave', slot: draw.below(3), how: draw.oneOf('break', 'throw') })],
    [2, () => ({ do: 'enter', slot: draw.below(3) })],
    [2, () => ({ do: 'mood', mood: draw.oneOf('steady', 'slow', 'stopped') })],
    [1, () => ({ do: 'ping', who: who() })],
    [3, () => ({ do: 'kill', who: who(), awayMs: awayMs() })],
    [2, () => ({ do: 'close', who: who(), awayMs: awayMs(), timeout: 1 + draw.upTo(4000) })],
    [0.7, () => ({ do: 'abort', who: who(), awayMs: awayMs() })],
  ]
}

function whatHappensToThem(draw: Draw): readonly Kind[] {
  const who = () => draw.oneOf<Who>('asker', 'answerer')
  const direction = () => draw.oneOf<Direction>('up', 'down')
  return [
    [0.5, () => ({ do: 'disk full', who: who() })],
    [3, () => ({ do: 'cut', who: who(), how: draw.oneOf('fin', 'reset') })],
    [
      3,
      () => ({ do: 'breakAfter', who: who(), direction: direction(), bytes: 1 + draw.upTo(400) }),
    ],
    [1, () => ({ do: 'swallow', who: who(), direction: draw.oneOf('up', 'down', 'both') })],
    [
      1.5,
      () => {
        const dialling = draw.oneOf<Dialling>('accept', 'accept', 'refuse', 'hang')
        return { do: 'dialling', who: who(), dialling }
      },
    ],
    [1, () => ({ do: 'latency', who: who(), ms: draw.upTo(1000) })],
    [2, () => ({ do: 'restart', keep: draw.chance(0.6) })],
    [
      2,
      () => {
        const fault = draw.oneOf('drop', 'delay')
        return { do: 'acks', fault, ms: draw.upTo(2000), times: 1 + draw.below(4) }
      },
    ],
    [1, () => ({ do: 'packets twice', times: 1 + draw.below(4) })],
  ]
}

/** Draws a scenario. Each has only some kinds of events, so that rare combinations come often. */
export function clientScenarioOf(seed: number): ClientScenario {
  const draw = new Draw(seed)
  const setup = draw.setup()
  const kinds = [...whatTheyDo(draw, setup), ...whatHappensToThem(draw)]
  // Messages and requests are always in it; of the others, those that chance picks.
  const share = 0.1 + draw.random() * 0.6
  const chosen = kinds.filter((_, i) => i < 3 || draw.chance(share))
  const total = chosen.reduce((sum, [weight]) => sum + weight, 0)
  const happening = (): Happening => {
    let at = draw.random() * total
    for (const [weight, one] of chosen) {
      at -= weight
      if (at < 0) return one()
    }
    return chosen[0]![1]()
  }
  const events = Array.from({ length: 8 + draw.below(25) }, () => ({
    after: draw.chance(0.3) ? 0 : draw.upTo(draw.chance(0.85) ? 300 : 6000),
    what: happening(),
  }))
  return { seed, setup, events }
}
