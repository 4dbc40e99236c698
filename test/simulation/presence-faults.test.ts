/**
 * Goal: what `it-mqtt/presence` promises holds whatever goes wrong at whatever step. Method: one
 * scenario with a fault at each of its steps, before each kind of broker.
 */
import { expect, test } from 'vitest'
import type { BrokerHabits } from '../../src/testing/index.ts'
import type {
  Event,
  Happening,
  MemberSetup,
  PresenceScenario,
} from './presence/presence-scenario.ts'
import { PRESENCE_SIMULATION } from './presence/presence-simulation.ts'

const MEMBER: MemberSetup = {
  ...{
    memory: 'none',
    keepAlive: 2,
    ttl: 10,
    grace: 1,
    recordTtl: 86_400,
    janitor: false,
    pauses: false,
  },
  watches: [0],
}

const RIGHT: BrokerHabits = {
  ...{ willPublished: true, willDelayed: true, willLateMs: 0, willOnTakeover: true },
  ...{ retainedExpires: true, expiryCountsDown: true },
}

/** What brokers do wrong, one by one. */
const BROKERS: Readonly<Record<string, BrokerHabits>> = {
  'all right': RIGHT,
  'a lost will': { ...RIGHT, willPublished: false },
  'a late will': { ...RIGHT, willLateMs: 4000 },
  'the will of the next connection': { ...RIGHT, willOnTakeover: 'new' },
  'that will, late': { ...RIGHT, willOnTakeover: 'new', willLateMs: 1500 },
  'a will that does not wait': { ...RIGHT, willDelayed: false },
  'no expiry': { ...RIGHT, retainedExpires: false, expiryCountsDown: false },
}

/** Two members that come, change and go; both watch. */
function everything(protocolVersion: 4 | 5, habits: BrokerHabits): PresenceScenario {
  const speak = (what: 'enter' | 'update' | 'leave', who: number, other = 0): Happening => {
    return { do: what, who, space: 0, other }
  }
  const happenings: readonly Happening[] = [
    speak('enter', 0),
    speak('enter', 1),
    speak('enter', 1, 1),
    speak('update', 0),
    speak('leave', 1, 1),
    speak('update', 1),
  ]
  return {
    seed: 1,
    setup: {
      ...{ protocolVersion, habits },
      members: [MEMBER, { ...MEMBER, memory: 'store', keepAlive: 5 }],
    },
    events: happenings.map((what, i) => ({ after: i === 0 ? 60 : 3 + (i % 4), what })),
  }
}

/** What may go wrong at any step. */
const FAULTS: readonly Happening[] = [
  { do: 'kill', who: 0, awayMs: 5 },
  { do: 'cut', who: 1, how: 'reset' },
  { do: 'swallow', who: 0, direction: 'both' },
  { do: 'suspend', who: 1, ms: 12_000 },
]
/** In 3.1.1 there is no expiry, and no will waits. */
const WITHOUT_EXPIRY = ['all right', 'a lost will', 'that will, late']

test.each(
  ([4, 5] as const).flatMap((version) =>
    (version === 5 ? Object.keys(BROKERS) : WITHOUT_EXPIRY).map((one) => [version, one] as const),
  ),
)(
  '[H2] [H3] [H4] MQTT %s, %s: a fault at any step breaks no promise',
  {
    timeout: 280_000,
  },
  async (version, broker) => {
    const scenario = everything(version, BROKERS[broker]!)
    expect(await PRESENCE_SIMULATION.simulate(scenario), 'without a fault').toEqual([])
    for (let step = 0; step <= scenario.events.length; step++) {
      for (const what of FAULTS) {
        const events: Event[] = [...scenario.events]
        events.splice(step, 0, { after: 1, what })
        const problems = await PRESENCE_SIMULATION.simulate({ ...scenario, events })
        expect(problems, `${JSON.stringify(what)} before step ${step}`).toEqual([])
      }
    }
  },
)
