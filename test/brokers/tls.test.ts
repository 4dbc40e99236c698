/**
 * Goal: a certificate that verifies is used, and one that does not ends the loop at the first
 * attempt with the reason, whatever the policy; only a certificate that may become valid is tried
 * again under `always`. Method: a real broker with certificates of every kind.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, type TestContext, test } from 'vitest'
import { ConnectionError, type EventloopOptions, eventloop, publish, run } from '../../src/index.ts'
import { Authority, type Certificate } from '../support/certificates.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { temporaryFolder, until } from '../support/process.ts'
import { Relay } from '../support/relay.ts'

interface Secured {
  readonly ours: Authority
  readonly theirs: Authority
  readonly relay: Relay
  /**
   * The authority of the server is given; a relay stands in between, so that attempts can be
   * counted.
   */
  readonly options: EventloopOptions
}

const GOOD = 'DNS:localhost,IP:127.0.0.1'

/** A broker behind TLS with the certificate that `issue` makes. */
async function secured(
  context: TestContext,
  issue: (ours: Authority, theirs: Authority) => Promise<Certificate>,
  lines: (ours: Authority) => readonly string[] = () => [],
): Promise<Secured> {
  requireMosquitto(context)
  const folder = temporaryFolder()
  context.onTestFinished(folder.remove)
  const ours = await Authority.create(folder.path, 'ours')
  const theirs = await Authority.create(folder.path, 'theirs')
  const { cert, key } = await issue(ours, theirs)
  const broker = await Mosquitto.start([
    'listener {port} 127.0.0.1',
    `certfile ${cert}`,
    `keyfile ${key}`,
    ...lines(ours),
  ])
  context.onTestFinished(() => broker[Symbol.asyncDispose]())
  const relay = await Relay.open(context, broker.port)
  const url = `mqtts://localhost:${relay.port}`
  return { ours, theirs, relay, options: { url, tls: { ca: ours.pem }, reconnect: 'always' } }
}

const good = (ours: Authority) => ours.issue({ names: GOOD })
const requests = () => [publish('t', 'p', { qos: 1 })]

async function reason(options: EventloopOptions): Promise<unknown> {
  return run(options, requests()).then(
    () => null,
    (error: unknown) => error,
  )
}

const DAY_MS = 86_400_000
const stamp = (offsetMs: number) =>
  `${new Date(Date.now() + offsetMs).toISOString().replace(/\D/g, '').slice(0, 14)}Z`

test('with the authority given the loop connects, and connects again after a cut', async (context) => {
  const { options, relay } = await secured(context, good)
  let connected = 0
  const until = { ...options, until: 'closed' } as const
  for await (const packet of eventloop(until, requests())) {
    if (packet.cmd === 'puback') relay.cut()
    if (packet.cmd === 'connack' && ++connected === 2) break
  }
  expect(connected).toBe(2)
})

describe('[N2] what does not verify ends the loop at the first attempt, under every policy', () => {
  const cases: [
    string,
    (ours: Authority, theirs: Authority) => Promise<Certificate>,
    (secured: Secured) => EventloopOptions['tls'],
    RegExp,
  ][] = [
    ['no authority given', good, () => ({}), /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_/],
    ['another authority', good, ({ theirs }) => ({ ca: theirs.pem }), /SELF_SIGNED|UNABLE_TO_/],
    [
      'issued by another authority',
      (_, theirs) => theirs.issue({ names: GOOD }),
      ({ ours }) => ({ ca: ours.pem }),
      /SELF_SIGNED|UNABLE_TO_/,
    ],
    [
      'signed by itself',
      (ours) => ours.selfSigned({ names: GOOD }),
      ({ ours }) => ({ ca: ours.pem }),
      /DEPTH_ZERO_SELF_SIGNED_CERT/,
    ],
    [
      'for another host',
      (ours) => ours.issue({ names: 'DNS:example.org' }),
      ({ ours }) => ({ ca: ours.pem }),
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    ],
    [
      'expired',
      (ours) => ours.issue({ names: GOOD, from: stamp(-2 * DAY_MS), to: stamp(-DAY_MS) }),
      ({ ours }) => ({ ca: ours.pem }),
      /CERT_HAS_EXPIRED/,
    ],
  ]
  for (const [name, issue, tls, code] of cases) {
    test(name, async (context) => {
      const server = await secured(context, issue)
      const error = await reason({ ...server.options, tls: tls(server) ?? {} })
      expect(error).toBeInstanceOf(ConnectionError)
      expect(error).toMatchObject({ retryable: false })
      expect((error as ConnectionError).code).toMatch(code)
      expect(server.relay.connections).toBe(1)
    })
  }
})

test('[N2] a certificate that is not yet valid ends the loop by default, and is tried again under always (a gateway without a clock boots in 1970)', async (context) => {
  const { options, relay } = await secured(context, (ours) =>
    ours.issue({ names: GOOD, from: stamp(DAY_MS), to: stamp(2 * DAY_MS) }),
  )
  expect(await reason({ ...options, reconnect: 'after-first-success' })).toMatchObject({
    code: 'CERT_NOT_YET_VALID',
  })
  expect(relay.connections).toBe(1)
  const loop = eventloop({ ...options, reconnect: { when: 'always', minMs: 0, maxMs: 1 } })
  const next = loop.next()
  await until(() => relay.connections >= 4, 'four attempts')
  await loop.return()
  expect(await next).toMatchObject({ done: true })
})

test('verification is off only if the user says so', async (context) => {
  const { options } = await secured(context, (ours) => ours.selfSigned({ names: GOOD }))
  const tls = { rejectUnauthorized: false }
  expect((await run({ ...options, tls }, requests())).settled).toBe(1)
})

test('a client with its certificate is accepted, one without is not', async (context) => {
  const { ours, theirs, options } = await secured(context, good, ({ cert }) => [
    `cafile ${cert}`,
    'require_certificate true',
  ])
  const pems = ({ cert, key }: Certificate) => ({
    cert: readFileSync(cert),
    key: readFileSync(key),
    ca: ours.pem,
  })
  const own = pems(await ours.issue({ names: 'DNS:client' }))
  expect((await run({ ...options, tls: own }, requests())).settled).toBe(1)
  const never = { ...options, reconnect: 'never' } as const
  expect(await reason(never)).toBeInstanceOf(ConnectionError)
  const foreign = pems(await theirs.issue({ names: 'DNS:client' }))
  expect(await reason({ ...never, tls: foreign })).toBeInstanceOf(ConnectionError)
})

test('[N2] plain MQTT to a TLS listener and TLS to a plain one fail as connections', async (context) => {
  const { options, relay } = await secured(context, good)
  const plain = { url: `mqtt://localhost:${relay.port}`, reconnect: 'never' } as const
  expect(await reason(plain)).toBeInstanceOf(ConnectionError)
  const broker = await Mosquitto.start()
  context.onTestFinished(() => broker[Symbol.asyncDispose]())
  const url = broker.url.replace('mqtt:', 'mqtts:')
  expect(await reason({ ...options, url, reconnect: 'never' })).toBeInstanceOf(ConnectionError)
})
