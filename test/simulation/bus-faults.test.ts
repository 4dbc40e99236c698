/**
 * Goal: a kill, a cut or an end at any step of a story of two services breaks no promise of
 * `it-mqtt/bus`, and the simulation finds it if one is broken. Method: one scenario of the
 * simulation with a fault at each of its steps, for several kinds of listeners; copies of the bus
 * with one deliberate fault each, of which some seed must find it.
 */
import { expect, test } from 'vitest'
import { BUS_FAULTS } from './bus/bus-mutations.ts'
import type { BusScenario, Happening, ListenerSetup } from './bus/bus-scenario.ts'
import type { BusSubject } from './bus/bus-services.ts'
import { BUS_SIMULATION, busSimulationOf } from './bus/bus-simulation.ts'
import { faultyCopy } from './faults.ts'
import { examine } from './shrink.ts'

/** Seeds that CI can afford. */
const SEEDS = 100

const LISTENER: ListenerSetup = {
  ...{ name: 'l0', how: 'handler', events: ['sold'], onError: 'stop', isFunction: false },
  ...{ then: 'stop', concurrency: 1, isOrdered: false, dedupe: 'own', maxRedeliveries: 0 },
  stream: 'event',
}

/** A service that fires, and one that listens; the first attempt of the second event fails. */
function everything(protocolVersion: 4 | 5, listener: Partial<ListenerSetup>): BusScenario {
  const service = { processes: 1, concurrency: 16, answerUnknown: true }
  const fire = (durable: boolean, fails: number): Happening => ({
    ...{ do: 'fire', who: 0, count: 2, durable, event: 'sold', slowMs: 3, fails },
    ...{ early: false, key: '' },
  })
  const happenings: readonly Happening[] = [
    fire(true, 0),
    { do: 'call', who: 1, rpc: 'plain', count: 2, slowMs: 3, timeout: 5000 },
    fire(false, 1),
    { do: 'call', who: 1, rpc: 'again', count: 1, slowMs: 0, timeout: 5000 },
    { do: 'call', who: 1, rpc: 'refuse', count: 1, slowMs: 0, timeout: 5000 },
    fire(true, 1),
  ]
  return {
    seed: 1,
    setup: {
      ...{ protocolVersion, sharedRedistribution: false, noMatchingSubscribers: true },
      ...{ schema: protocolVersion === 5 ? 'lease' : 'retained', slowTaskMs: 300 },
      onBreaking: 'refuse',
      presence: false,
      isWatched: false,
      services: [
        { ...service, service: 'shop', serves: true, listeners: [] },
        { ...service, service: 'mail', serves: false, listeners: [{ ...LISTENER, ...listener }] },
      ],
    },
    events: happenings.map((what, i) => ({ after: i === 0 ? 60 : 3 + (i % 4), what })),
  }
}

/** What may go wrong at any step. */
const FAULTS: readonly Happening[] = [
  { do: 'kill', who: 0, awayMs: 5 },
  { do: 'kill', who: 1, awayMs: 5 },
  { do: 'cut', who: 1, which: 1, how: 'reset' },
  { do: 'close', who: 1, awayMs: 5, timeout: 10 },
]

/** What a listener may be like. */
const LISTENERS: Readonly<Record<string, Partial<ListenerSetup>>> = {
  'stop, with a store': {},
  'retry, three handlers': { onError: 'retry', concurrency: 3, dedupe: 'memory' },
  'dead letters, iterated': { onError: 'deadLetter', how: 'iterated', maxRedeliveries: 1 },
  'dead letters, without dedupe': { onError: 'deadLetter', dedupe: 'none' },
}

test.each(
  ([4, 5] as const).flatMap((version) =>
    Object.keys(LISTENERS).map((listener) => [version, listener] as const),
  ),
)(
  '[B6] [B7] [B11] MQTT %s, %s: a kill or a cut at any step breaks no promise',
  { timeout: 280_000 },
  async (version, listener) => {
    const scenario = everything(version, LISTENERS[listener]!)
    expect(await BUS_SIMULATION.simulate(scenario), 'without a fault').toEqual([])
    for (let step = 0; step <= scenario.events.length; step++) {
      for (const what of FAULTS) {
        const events = [...scenario.events]
        events.splice(step, 0, { after: 1, what })
        const problems = await BUS_SIMULATION.simulate({ ...scenario, events })
        expect(problems, `${JSON.stringify(what)} before step ${step}`).toEqual([])
      }
    }
  },
)

const TITLE =
  '[B1] [B2] [B3] [B4] [B5] [B6] [B7] [B8] [B9] [B10] [B11] [B12] [B13] [B14] [B15] [B18] [B19] [B20] [B21] [B22] found: $id, $name'

test.each(BUS_FAULTS)(TITLE, { timeout: 280_000 }, async (fault) => {
  const broken = busSimulationOf(await faultyCopy<BusSubject>(fault, 'bus/index.ts'))
  for (let seed = 1; seed <= SEEDS; seed++) {
    const failure = await examine(broken, seed)
    if (failure === null) continue
    expect(failure.problems[0]).toContain(`[${fault.id}]`)
    const whole = await examine(BUS_SIMULATION, seed)
    expect(whole, 'what fails without the fault proves nothing').toBeNull()
    console.log(`${fault.name}: seed ${seed}, ${failure.problems[0]}`)
    return
  }
  expect.fail(`${SEEDS} seeds did not find it`)
})
