/**
 * Goal: what `it-mqtt/client` promises holds for a client and a responder that are killed and begin
 * again, over a network and a broker that fail. Method: scenarios drawn from seeds, with every
 * promise checked as soon as it can be, and one scenario with a fault at each of its steps.
 * `npm run simulate -- --client` takes more seeds.
 */
import { expect, test } from 'vitest'
import {
  type Asking,
  type ClientScenario,
  type Event,
  type Happening,
  type PartySetup,
  TOPICS,
} from './client/client-scenario.ts'
import { CLIENT_SIMULATION } from './client/client-simulation.ts'
import { examine, report, shrink } from './shrink.ts'

const SEEDS = 50

test(`[M2] [M3] [M4] [M5] [M6] [M12] [M14] [Q1] [Q2] [Q5] [Q6] [Q8] [Q9] [Q11] [Q12] ${SEEDS} seeds keep every promise`, {
  timeout: 280_000,
}, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(CLIENT_SIMULATION, seed)
    if (failure === null) continue
    expect.fail(report(CLIENT_SIMULATION, await shrink(CLIENT_SIMULATION, failure)))
  }
})

test('a seed gives the same run of both clients every time', async () => {
  const tellOnce = async () => {
    const lines: string[] = []
    const scenario = CLIENT_SIMULATION.scenarioOf(7)
    await CLIENT_SIMULATION.simulate(scenario, (line) => lines.push(line))
    return lines
  }
  const story = await tellOnce()
  expect(story.length).toBeGreaterThan(20)
  expect(await tellOnce()).toEqual(story)
})

const PARTY: PartySetup = {
  memory: 'store',
  keepAlive: 0,
  receiveMaximum: 3,
  maxInflight: 2,
  maxQueued: 3,
  ackTimeoutMs: 0,
}

const ASKING: Asking = {
  ...{ form: 'one', to: 'call', qos: 1, timeout: 2000, retry: 'never', handlerMs: 2 },
  ...{ doing: 'value', parts: 5, max: 1000, lane: 0, fallback: false, keyOf: 0 },
}

/** An hour of two clients, in a few milliseconds: everything that they can do, and no fault. */
function everything(protocolVersion: 4 | 5): ClientScenario {
  const ask = (given: Partial<Asking>, count = 1): Happening => {
    return { do: 'ask', count, asking: { ...ASKING, ...given } }
  }
  const publish = (qos: 0 | 1 | 2, topic: string): Happening => {
    return { do: 'publish', qos, topic, count: 2, bytes: 9, timeout: 0, cancelMs: 0 }
  }
  const offer = (qos: 0 | 1 | 2, topic: string): Happening => {
    return { do: 'offer', qos, topic, count: 2, bytes: 9 }
  }
  const slot = (filters: readonly string[], qos: 1 | 2, acks: 'pull' | 'manual') => {
    return { filters, qos, acks, keeps: true, by: 'next', concurrency: 1 } as const
  }
  const happenings: readonly Happening[] = [
    publish(1, TOPICS[0]),
    ask({}),
    offer(2, TOPICS[1]),
    ask({ to: 'pull' }),
    publish(2, TOPICS[3]),
    ask({ form: 'many', doing: 'stream' }),
    offer(1, TOPICS[2]),
    ask({ form: 'lane' }, 3),
    { do: 'visit', slot: slot(['d'], 1, 'pull'), take: 1, how: 'break' },
    offer(1, 'd'),
    ask({ retry: 'lost', qos: 2 }),
    { do: 'leave', slot: 0, how: 'break' },
    offer(1, TOPICS[0]),
    ask({ keyOf: 1 }),
    { do: 'enter', slot: 0 },
    publish(1, TOPICS[2]),
    ask({ doing: 'throw' }),
    offer(2, TOPICS[4]),
  ]
  return {
    seed: 1,
    setup: {
      protocolVersion,
      asker: PARTY,
      answerer: PARTY,
      overlap: 'merged',
      overlaps: false,
      maxInflight: 3,
      slots: [
        slot(['a/#'], 2, 'pull'),
        slot(['b/+'], 1, 'manual'),
        slot(['c/1', 'c/2'], 2, 'pull'),
      ],
      responseQos: 1,
      concurrency: 2,
      bodyMs: 0,
    },
    events: happenings.map((what, i) => ({ after: i === 0 ? 60 : 3 + (i % 4), what })),
  }
}

/** What may go wrong at any step. */
const FAULTS: readonly Happening[] = [
  { do: 'kill', who: 'asker', awayMs: 5 },
  { do: 'kill', who: 'answerer', awayMs: 5 },
  { do: 'cut', who: 'asker', how: 'reset' },
  { do: 'cut', who: 'answerer', how: 'reset' },
]

test.each([4, 5] as const)(
  '[M2] [M5] [Q5] [Q6] MQTT %s: a fault at any step breaks no promise',
  {
    timeout: 280_000,
  },
  async (version) => {
    const scenario = everything(version)
    expect(await CLIENT_SIMULATION.simulate(scenario), 'without a fault').toEqual([])
    for (let step = 0; step <= scenario.events.length; step++) {
      for (const what of FAULTS) {
        const events: Event[] = [...scenario.events]
        events.splice(step, 0, { after: 1, what })
        const problems = await CLIENT_SIMULATION.simulate({ ...scenario, events })
        expect(problems, `${JSON.stringify(what)} before step ${step}`).toEqual([])
      }
    }
  },
)
