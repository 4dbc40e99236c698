/**
 * Goal: the sample file passes a mosquitto that is stopped (SIGTERM) or killed (SIGKILL) several
 * times meanwhile and comes back with its data. Method: test/support/relay.ts says how a kill is
 * made fair.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'vitest'
import { DURABLE, Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { until } from '../support/process.ts'
import { check, deliver, MAX_INFLIGHT, READINGS } from '../support/readings.ts'
import { Relay } from '../support/relay.ts'

const RESTARTS = 4
const ROUNDS = 10
const CASES = [5, 4].flatMap((protocolVersion) =>
  [1, 2].map((qos) => ({ protocolVersion, qos }) as { protocolVersion: 4 | 5; qos: 1 | 2 }),
)

interface World {
  readonly url: string
  readonly restart: () => Promise<void>
}

async function open(context: TestContext): Promise<Mosquitto> {
  requireMosquitto(context)
  const broker = await Mosquitto.start([...DURABLE, `max_inflight_messages ${MAX_INFLIGHT}`])
  context.onTestFinished(() => broker[Symbol.asyncDispose]())
  return broker
}

async function stopped(context: TestContext): Promise<World> {
  const broker = await open(context)
  return { url: broker.url, restart: () => broker.restart('SIGTERM') }
}

async function killed(context: TestContext): Promise<World> {
  const broker = await open(context)
  const relay = await Relay.open(context, broker.port)
  return {
    url: relay.url,
    restart: async () => {
      relay.hold()
      await save(broker)
      await broker.down('SIGKILL')
      relay.cut()
      await broker.up()
    },
  }
}

/**
 * Resolves once the broker has saved whatever it had sent before the call. Each save replaces the
 * file by a new one.
 */
async function save(broker: Mosquitto): Promise<void> {
  const saved = () => {
    const stats = statSync(join(broker.folder, 'mosquitto.db'), { throwIfNoEntry: false })
    return `${stats?.ino} ${stats?.mtimeMs}`
  }
  const before = saved()
  broker.signal('SIGUSR1')
  await until(() => saved() !== before, 'the broker saves its data')
}

describe.each(CASES)('MQTT version $protocolVersion, QoS $qos', ({ protocolVersion, qos }) => {
  const kind = { protocolVersion, qos }

  test('[D1] [D2] [D3] a broker that is stopped several times loses no reading and changes no order', async (context) => {
    const job = { ...kind, ...(await stopped(context)), total: READINGS, restarts: RESTARTS }
    check(await deliver(job), job)
  })

  test('[D1] [D2] [D3] a broker that is killed several times loses no reading and changes no order', async (context) => {
    const job = { ...kind, ...(await killed(context)), total: READINGS, restarts: RESTARTS }
    check(await deliver(job), job)
  })
})

test('[D1] [D3] [R2] ten rounds of a broker that is killed: QoS 2 loses nothing and doubles nothing', async (context) => {
  for (let round = 0; round < ROUNDS; round++) {
    const world = await killed(context)
    const job = { ...world, protocolVersion: round % 2 === 0 ? 5 : 4, qos: 2, total: 600 } as const
    check(await deliver({ ...job, restarts: 3 }), { ...job, restarts: 3 })
  }
})
