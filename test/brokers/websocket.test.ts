/**
 * Goal: mosquitto over WebSocket, with and without TLS, works as over TCP. Method: all QoS, both
 * versions, a payload of many frames, a restart of the broker, and certificates that must be
 * refused.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventloop, publish, run, subscribe } from '../../src/index.ts'
import { Authority } from '../support/certificates.ts'
import { DURABLE, Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder } from '../support/process.ts'

const folder = temporaryFolder()
let authority: Authority
let broker: Mosquitto | null = null
let urls: Record<string, string>

beforeAll(async () => {
  authority = await Authority.create(folder.path, 'authority')
  const { cert, key } = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
  const elsewhere = await authority.issue({ names: 'DNS:elsewhere' })
  const [plain, secure, wrong] = [await freePort(), await freePort(), await freePort()]
  urls = {
    ws: `ws://127.0.0.1:${plain}/mqtt`,
    wss: `wss://localhost:${secure}/mqtt`,
    wrong: `wss://localhost:${wrong}/mqtt`,
  }
  broker = await Mosquitto.start([
    ...DURABLE,
    'listener {port} 127.0.0.1',
    ...[`listener ${plain} 127.0.0.1`, 'protocol websockets'],
    ...[`listener ${secure} 127.0.0.1`, 'protocol websockets'],
    ...[`certfile ${cert}`, `keyfile ${key}`],
    ...[`listener ${wrong} 127.0.0.1`, 'protocol websockets'],
    ...[`certfile ${elsewhere.cert}`, `keyfile ${elsewhere.key}`],
  ]).catch(() => null)
})
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]()
  folder.remove()
})

/** Where the broker listens under this scheme, and what it takes to trust it. */
const reaching = (scheme: string) => ({
  url: urls[scheme]!,
  ...(scheme === 'wss' && { tls: { ca: authority.pem } }),
})

describe.each(['ws', 'wss'])('%s', (scheme) => {
  test.each([4, 5] as const)(
    '[T1] MQTT version %i: all QoS, there and back, and a large payload',
    async (protocolVersion, context) => {
      requireMosquitto(context as never)
      const options = { ...reaching(scheme), protocolVersion }
      // mosquitto 2.0.11 sends it in pieces of 4 KiB, one in 100 ms (docs/BROKERS.md).
      const large = Buffer.alloc(30_000, 'x')
      const topic = `${scheme}/${protocolVersion}`
      const requests = [0, 1, 2].map((qos) => publish(topic, `at ${qos}`, { qos: qos as 0 }))
      const loop = eventloop({ ...options, until: 'closed' }, [
        subscribe(topic, { qos: 2 }),
        ...requests,
        publish(topic, large, { qos: 1 }),
      ])
      const sizes: string[] = []
      for await (const packet of loop) {
        if (packet.cmd !== 'publish') continue
        sizes.push(packet.payload.length > 100 ? 'large' : packet.payload.toString())
        if (sizes.length === 4) break
      }
      expect(sizes.sort()).toEqual(['at 0', 'at 1', 'at 2', 'large'])
    },
  )

  test('[D1] a broker that is killed and comes back costs nothing', async (context) => {
    requireMosquitto(context)
    const topic = `${scheme}/restart`
    const requests = Array.from({ length: 2000 }, (_, i) => publish(topic, String(i), { qos: 1 }))
    const running = run(
      {
        ...reaching(scheme),
        reconnect: { when: 'always', minMs: 10, maxMs: 200 },
        maxInflight: 10,
      },
      requests,
      { timeout: 60_000 },
    )
    await broker!.restart('SIGKILL')
    expect(await running).toMatchObject({ settled: 2000, failed: [] })
  })
})

test('[T1] wss verifies by default: an unknown authority and a wrong name are refused', async (context) => {
  requireMosquitto(context)
  const refused = run(urls['wss']!, [publish('t', 'x', { qos: 1 })])
  await expect(refused).rejects.toThrow(/certificate of wss:\/\/localhost.* was refused/)
  const options = { url: urls['wrong']!, tls: { ca: authority.pem } }
  await expect(run(options, [publish('t', 'x', { qos: 1 })])).rejects.toThrow(
    /certificate of wss:\/\/localhost.* was refused/,
  )
})
