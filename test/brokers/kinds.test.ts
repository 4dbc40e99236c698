/**
 * Goal: the same checks pass with mosquitto, ejabberd, RabbitMQ, NATS and aedes, in every version
 * that each speaks, and each does differently what docs/BROKERS.md says of it. That page is written
 * from what ran here (`npm run brokers`); a title names broker, version and feature.
 */
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Endpoint,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type IncomingPublish,
  publish,
  type QoS,
  RefusedError,
  run,
  subscribe,
} from '../../src/index.ts'
import { type Broker, isInstalled, KINDS, type Kind } from '../support/brokers.ts'
import { Authority } from '../support/certificates.ts'
import { DIFFERENCES } from '../support/differences.ts'
import { temporaryFolder, until } from '../support/process.ts'

const REQUIRED = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'
/** This is below the limit of each broker. */
const LARGE_BYTES = 900_000

/** Reads messages until the last of them has this payload. */
async function upTo(loop: Eventloop, last: string): Promise<IncomingPublish[]> {
  const messages: IncomingPublish[] = []
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    messages.push(packet)
    if (packet.payload.toString() !== last) continue
    loop.ack(packet)
    break
  }
  return messages
}

const texts = (messages: readonly IncomingPublish[]) =>
  messages.map(({ payload }) => payload.toString())

async function granted(loop: Eventloop): Promise<readonly number[]> {
  for (;;) {
    const { value } = await loop.next()
    if (value === undefined) throw new Error('the loop ended')
    if (value.cmd === 'suback') return value.granted
  }
}

for (const kind of KINDS) {
  const folder = temporaryFolder()
  let broker: Broker
  let authority: Authority

  describe.skipIf(!REQUIRED && !isInstalled(kind))(kind.name, () => {
    beforeAll(async () => {
      authority = await Authority.create(folder.path, 'authority')
      const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
      broker = await kind.start(folder.path, certificate)
    }, 200_000)
    afterAll(async () => {
      await broker?.stop()
      folder.remove()
    }, 100_000)
    for (const version of kind.versions) {
      describe(`MQTT ${version === 5 ? '5' : '3.1.1'}`, () => {
        life(kind, version, () => ({ broker, authority }))
      })
    }
    describe('differences', () => {
      for (const { says, proof } of DIFFERENCES[kind.name]!) {
        test(says, () => proof({ broker, folder: folder.path }))
      }
    })
    if (!kind.versions.includes(5)) {
      test('MQTT 3.1.1 where 5 is not spoken: asked for 5, it is spoken to in 3.1.1', async () => {
        const loop = eventloop({ url: broker.url, until: 'closed' })
        await loop.next()
        expect(loop.state.connection.protocolVersion).toBe(4)
        await loop.return()
      })
    }
  })
  if (!REQUIRED && !isInstalled(kind)) console.log(`not run: ${kind.name} is not installed`)
}

function life(
  kind: Kind,
  protocolVersion: 4 | 5,
  surroundings: () => { broker: Broker; authority: Authority },
): void {
  const options = (): EventloopOptions => ({ url: surroundings().broker.url, protocolVersion })
  const name = (what: string) => `${kind.name}-${protocolVersion}-${what}`

  for (const qos of [0, 1, 2] as const) {
    const most = Math.min(qos, kind.maximumQoS) as QoS
    const says = most === qos ? `QoS ${qos}` : `QoS ${qos}, granted as ${most}`
    test(`[D1] [D3] ${says}`, async () => {
      const topic = name(`q${qos}`)
      const loop = eventloop(options(), [subscribe(topic, { qos })])
      expect(await granted(loop)).toEqual([most])
      const numbers = Array.from({ length: 50 }, (_, i) => String(i))
      const requests = numbers.map((payload) => publish(topic, payload, { qos: most }))
      const sent = run(options(), requests)
      expect(texts(await upTo(loop, '49'))).toEqual(numbers)
      expect(await sent).toMatchObject({ settled: 50, failed: [] })
    })
  }

  test('retained message', async () => {
    const topic = name('kept')
    await run(options(), [publish(topic, 'last', { qos: 1, retain: true })])
    const [kept] = await upTo(eventloop(options(), [subscribe(topic, { qos: 1 })]), 'last')
    expect(kept!.retain).toBe(true)
  })

  test('will', async () => {
    const topic = name('gone')
    const watcher = eventloop(options(), [subscribe(topic, { qos: 1 })])
    await granted(watcher)
    let socket: Socket | undefined
    const transport = ({ url: where }: Endpoint) => {
      socket = connect(Number(where.port), where.hostname)
      return socket
    }
    const will = { topic, payload: 'adieu', qos: 1 } as const
    const dying = eventloop({
      ...options(),
      will,
      transport,
      until: 'closed',
      reconnect: 'never',
    })
    await dying.next()
    const death = dying.next()
    socket!.resetAndDestroy()
    await expect(death).rejects.toBeInstanceOf(Error)
    expect(texts(await upTo(watcher, 'adieu'))).toEqual(['adieu'])
  })

  test('[D1] session resumed', async () => {
    const topic = name('later')
    const named = { ...options(), clientId: name('resuming') }
    const first = eventloop({ ...named, cleanStart: false }, [subscribe(topic, { qos: 1 })])
    await granted(first)
    await first.return()
    await run(
      options(),
      ['1', '2', '3'].map((payload) => publish(topic, payload, { qos: 1 })),
    )
    const resumed = eventloop({ ...named, session: first.session, until: 'closed' })
    expect(texts(await upTo(resumed, '3'))).toEqual(['1', '2', '3'])
  })

  const after = kind.keeps ? 'session kept across a restart' : 'session lost at a restart, renewed'
  test(`[D1] [D5] ${after}`, async () => {
    const topic = name('across')
    const loop = eventloop(
      {
        ...options(),
        clientId: name('staying'),
        cleanStart: false,
        session: 'adopt',
        reconnect: { when: 'always', minMs: 10, maxMs: 500 },
        until: 'closed',
      },
      [subscribe(topic, { qos: 1 })],
    )
    await granted(loop)
    const presence: boolean[] = []
    let message: string | null = null
    const reading = (async () => {
      for await (const packet of loop) {
        if (packet.cmd === 'connack') presence.push(packet.sessionPresent)
        if (packet.cmd !== 'publish') continue
        message = packet.payload.toString()
        return
      }
    })()
    await surroundings().broker.restart()
    await until(() => presence.length > 0, 'it is connected again', 60_000)
    const renewed = () => loop.state.subscriptions.map(({ status }) => status).join() === 'granted'
    await until(renewed, 'it is subscribed again')
    const said = 'after the restart'
    const retry: EventloopOptions = { ...options(), reconnect: 'always' }
    let sent = 0
    const again = setInterval(() => {
      run(retry, [publish(topic, said, { qos: 1 })], { timeout: 5000 }).then(
        ({ settled }) => (sent += settled),
        () => {},
      )
    }, 500)
    try {
      const what = () => `a message after ${sent} were accepted; ${JSON.stringify(loop.state)}`
      await until(() => message !== null, what, 60_000)
    } finally {
      clearInterval(again)
      await loop.return()
    }
    await reading
    expect(message).toBe(said)
    expect(presence.at(-1)).toBe(kind.keeps)
  })

  test('[K1] [K2] keep-alive: PINGREQ is answered, silence is not borne', async () => {
    const idle = eventloop({ ...options(), keepAlive: 2, until: 'closed' })
    let pings = 0
    for await (const packet of idle) if (packet.cmd === 'pingresp' && ++pings === 2) break
    expect(idle.state.counters.reconnections).toEqual({})
    // A raw client that sends nothing after its CONNECT with Keep Alive 1.
    const { hostname, port } = new URL(surroundings().broker.url)
    const silent = connect(Number(port), hostname)
    const id = Buffer.from('silent')
    const version = protocolVersion === 5 ? [5, 2, 0, 1, 0] : [4, 2, 0, 1]
    const rest = [0, 4, ...Buffer.from('MQTT'), ...version, 0, id.length, ...id]
    silent.write(Buffer.from([0x10, rest.length, ...rest]))
    silent.resume()
    await until(() => silent.destroyed || silent.readableEnded, 'the broker closes', 30_000)
    silent.destroy()
  })

  const shares = kind.shares.includes(protocolVersion)
  test(shares ? 'shared subscription' : 'no shared subscription', async () => {
    const topic = name('shared')
    const filter = `$share/group/${topic}`
    const loops = [1, 2].map(() =>
      eventloop({ ...options(), until: 'closed' }, [subscribe(filter, { qos: 1 })]),
    )
    const codes = await Promise.all(loops.map((loop) => granted(loop).catch(() => [0x80])))
    let received = 0
    const reading = loops.map(async (loop) => {
      for await (const packet of loop) if (packet.cmd === 'publish') received++
    })
    const whole = Promise.allSettled(reading)
    await run(
      options(),
      Array.from({ length: 20 }, (_, i) => publish(topic, String(i), { qos: 1 })),
    )
    if (shares) await until(() => received === 20, 'every message reaches one of them')
    await run(options(), [publish(topic, 'one more', { qos: 1 })])
    await Promise.all(loops.map((loop) => loop.return().catch(() => {})))
    await whole
    if (shares) expect(received).toBeLessThanOrEqual(21)
    else expect(codes.flat().every((code) => code >= 0x80) || received !== 20).toBe(true)
  })

  test('large payload', async () => {
    const topic = name('large')
    const large = Buffer.alloc(LARGE_BYTES, 65)
    const reader = eventloop(options(), [subscribe(topic, { qos: 1 })])
    await granted(reader)
    const writing = run(options(), [publish(topic, large, { qos: 1 })])
    const [message] = await upTo(reader, large.toString())
    expect(message!.payload.equals(large)).toBe(true)
    await writing
  })

  test('[N2] TLS, verified', async () => {
    const { broker, authority } = surroundings()
    const secure = { protocolVersion, url: broker.tlsUrl }
    const request = () => [publish(name('tls'), 'x', { qos: 1 })]
    const trusted = { ...secure, tls: { ca: authority.pem } }
    expect(await run(trusted, request())).toMatchObject({ settled: 1, failed: [] })
    const refused = run({ ...secure, reconnect: 'never' }, request())
    await expect(refused).rejects.not.toBeInstanceOf(RefusedError)
    await expect(refused).rejects.toMatchObject({ retryable: false })
  })
}
