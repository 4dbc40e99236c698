/**
 * The stations of the drill: each has real sockets, brokers and load balancers, tests the part of a
 * connection's lifecycle that its name says, and has its own kinds of fault.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Aedes, type Client } from 'aedes'
import { pushable } from 'it-pushable'
import { scramSha256 } from '../../docs/examples/authentication/scram.ts'
import { renewedToken } from '../../docs/examples/authentication/token.ts'
import { AuthenticatingServer, scramServer } from '../support/authenticating-server.ts'
import { type Balancer, startNginx } from '../support/balancers.ts'
import { Authority } from '../support/certificates.ts'
import { HttpIngest } from '../support/http-ingest.ts'
import { DURABLE, Mosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder, until } from '../support/process.ts'
import { Relay } from '../support/relay.ts'
import {
  arrives,
  between,
  Gateway,
  Observer,
  repeats,
  type Scope,
  type Station,
} from './station.ts'

/** mosquitto answers first and saves within a second. */
const SAVED_MS = 2500
const QUICK = { when: 'always', minMs: 20, maxMs: 500 } as const

const pick = <T>(list: readonly T[], random: () => number): T =>
  list[Math.floor(random() * list.length)]!

async function broker(scope: Scope, lines: readonly string[] = []): Promise<Mosquitto> {
  const mosquitto = await Mosquitto.start([...DURABLE, ...lines])
  scope.onTestFinished(() => mosquitto[Symbol.asyncDispose]())
  return mosquitto
}

/**
 * Two brokers that know nothing of each other: the one that is up takes the messages. QoS 1, at
 * least once.
 */
export async function failover(scope: Scope): Promise<Station> {
  const name = 'failover and hints'
  const topic = 'failover'
  const brokers = [await broker(scope), await broker(scope)] as const
  const relays = await Promise.all(brokers.map(({ port }) => Relay.open(scope, port)))
  const observers = brokers.map(({ url }) => new Observer({ url }, topic))
  await Promise.all(observers.map((observer) => observer.ready()))
  const hints = pushable<'online' | 'offline'>({ objectMode: true })
  let checks = 0
  const gateway = new Gateway(
    {
      url: relays.map(({ url }) => url),
      keepAlive: 4,
      connectTimeout: 2000,
      cleanStart: false,
      reconnect: QUICK,
      networkHints: hints,
      connectivityCheck: () => ++checks > 0,
    },
    { topic, qos: 1, everyMs: 4 },
  )
  const endpoints = new Set<string>()
  scope.onTestFinished(() => hints.end())
  const here = () =>
    Math.max(
      0,
      relays.findIndex(({ url }) => url === gateway.loop.state.connection.endpoint),
    )
  const connected = () => gateway.loop.state.connection.kind === 'connected'

  const faults = {
    async reset() {
      relays[here()]!.cut()
    },
    async killed(random: () => number) {
      const at = here()
      relays[at]!.hold()
      await sleep(SAVED_MS)
      await brokers[at]!.down('SIGKILL')
      relays[at]!.set('closed')
      await until(connected, 'the gateway moved', 30_000)
      endpoints.add(gateway.loop.state.connection.endpoint)
      await sleep(between(random, 500, 3000))
      await brokers[at]!.up()
      relays[at]!.set('open')
    },
    async offline(random: () => number) {
      for (const relay of relays) relay.set('closed')
      hints.push('offline')
      await sleep(between(random, 500, 3000))
      for (const relay of relays) relay.set('open')
      hints.push('online')
      await until(connected, 'the gateway is back', 30_000)
    },
    async silent(random: () => number) {
      relays[here()]!.set('noLink')
      await sleep(between(random, 3000, 7000))
      for (const relay of relays) relay.set('open')
    },
  }
  return {
    name,
    async disturb(random) {
      const fault = pick(Object.keys(faults) as (keyof typeof faults)[], random)
      await faults[fault](random)
      return fault
    },
    async finish() {
      await gateway.stop()
      const arrived = (payload: string) => observers.some((one) => one.arrived.has(payload))
      await arrives(() => gateway.problems(arrived).length === 0)
      for (const observer of observers) await observer.stop()
      return {
        name,
        produced: gateway.produced,
        figures: {
          reconnections: gateway.reconnections,
          checks,
          arrivedAt: observers.map((one) => one.arrived.size),
          servers: endpoints.size,
        },
        problems: gateway.problems(arrived),
      }
    },
  }
}

/**
 * A broker that freezes, and an HTTP endpoint. QoS 2: each message exactly once, by MQTT or by
 * HTTP.
 */
export async function frozen(scope: Scope): Promise<Station> {
  const name = 'frozen broker, HTTP'
  const topic = 'frozen'
  const mosquitto = await broker(scope)
  const ingest = await HttpIngest.open()
  scope.onTestFinished(() => ingest.close())
  const observer = new Observer({ url: mosquitto.url }, topic)
  await observer.ready()
  const gateway = new Gateway(
    {
      url: mosquitto.url,
      keepAlive: 60,
      cleanStart: false,
      divert: { afterMs: 1000, to: ingest.post },
    },
    { topic, qos: 2, everyMs: 4 },
  )
  return {
    name,
    async disturb(random) {
      mosquitto.signal('SIGSTOP')
      await sleep(between(random, 200, 6000))
      mosquitto.signal('SIGCONT')
      await until(() => !gateway.loop.state.diverting, 'the loop takes over again', 30_000)
      return 'frozen'
    },
    async finish() {
      await gateway.stop()
      const arrived = (payload: string) =>
        observer.arrived.has(payload) || ingest.arrived.has(payload)
      await arrives(() => gateway.problems(arrived).length === 0)
      await observer.stop()
      const both = [...ingest.arrived.keys()].filter((payload) => observer.arrived.has(payload))
      const problems = gateway.problems(arrived)
      if (both.length > 0) problems.push(`${both.length} went both ways`)
      const twice = repeats(observer.arrived) + repeats(ingest.arrived)
      if (twice > 0) problems.push(`${twice} came twice`)
      return {
        name,
        produced: gateway.produced,
        figures: {
          mqtt: observer.arrived.size,
          http: ingest.arrived.size,
          reconnections: gateway.reconnections,
        },
        problems,
      }
    },
  }
}

/**
 * WebSocket behind nginx, which cuts connections that are idle for 3 s, and `wss:` directly to the
 * broker.
 */
export async function webSockets(scope: Scope): Promise<Station> {
  const name = 'WebSocket: nginx, TLS'
  const folder = temporaryFolder()
  scope.onTestFinished(folder.remove)
  const authority = await Authority.create(folder.path, 'authority')
  const { cert, key } = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
  const [plain, secure] = [await freePort(), await freePort()]
  const mosquitto = await broker(scope, [
    'listener {port} 127.0.0.1',
    ...[`listener ${plain} 127.0.0.1`, 'protocol websockets'],
    ...[`listener ${secure} 127.0.0.1`, 'protocol websockets'],
    ...[`certfile ${cert}`, `keyfile ${key}`],
  ])
  let nginx: Balancer = await startNginx(plain)
  scope.onTestFinished(() => nginx[Symbol.asyncDispose]())
  const observers = ['idle', 'busy'].map((topic) => new Observer({ url: mosquitto.url }, topic))
  await Promise.all(observers.map((observer) => observer.ready()))
  let port = nginx.port
  const idle = new Gateway(
    {
      // A tenth of the default of 25 s under limits of 30 s.
      keepAlive: 2,
      cleanStart: false,
      reconnect: QUICK,
      connectOptions: () => ({ url: `ws://127.0.0.1:${port}/mqtt` }),
      url: `ws://127.0.0.1:${port}/mqtt`,
    },
    { topic: 'idle', qos: 1, everyMs: 7000 },
  )
  const busy = new Gateway(
    {
      url: `wss://localhost:${secure}/mqtt`,
      tls: { ca: authority.pem },
      keepAlive: 5,
      cleanStart: false,
      reconnect: QUICK,
    },
    { topic: 'busy', qos: 2, everyMs: 20 },
  )
  const connected = () =>
    [idle, busy].every(({ loop }) => loop.state.connection.kind === 'connected')
  let limits = 0
  return {
    name,
    async disturb(random) {
      const fault = pick(['nginx killed', 'broker restarted', 'none'] as const, random)
      if (fault === 'nginx killed') {
        await nginx[Symbol.asyncDispose]()
        nginx = await startNginx(plain)
        port = nginx.port
      } else if (fault === 'broker restarted') {
        // The requests go one after the other, so that each answer is saved in order.
        await mosquitto.restart('SIGTERM')
      } else {
        // Four idle limits pass.
        const before = JSON.stringify(idle.reconnections)
        await sleep(12_000)
        if (JSON.stringify(idle.reconnections) === before) limits += 4
      }
      await until(connected, 'both are connected', 30_000)
      return fault
    },
    async finish() {
      await Promise.all([idle.stop(), busy.stop()])
      const arrived = (i: number) => (payload: string) => observers[i]!.arrived.has(payload)
      const problems = () => [...idle.problems(arrived(0)), ...busy.problems(arrived(1))]
      await arrives(() => problems().length === 0)
      for (const observer of observers) await observer.stop()
      return {
        name,
        produced: idle.produced + busy.produced,
        figures: {
          idleLimitsSurvived: limits,
          nginx: idle.reconnections,
          tls: busy.reconnections,
          // mosquitto 2.0.11 forgets a PUBCOMP over a restart, and sends the PUBLISH again under
          // its identifier.
          repeatedByBroker: repeats(observers[1]!.arrived),
        },
        problems: problems(),
      }
    },
  }
}

/**
 * A broker whose tokens last two seconds, and a token service that sometimes gives a wrong one.
 * MQTT 3.1.1.
 */
export async function tokens(scope: Scope): Promise<Station> {
  const name = 'tokens of two seconds'
  const key = randomBytes(32)
  const signed = (text: string) => createHmac('sha256', key).update(text).digest('base64url')
  const issue = (lifeMs: number) => {
    const expiresAt = Date.now() + lifeMs
    return { value: `${expiresAt}.${signed(String(expiresAt))}`, expiresAt }
  }
  const arrived = new Map<string, number>()
  const figures = { accepted: 0, refused: 0 }
  const aedes = await Aedes.createBroker()
  aedes.authenticate = (client: Client, _, password, done) => {
    const [expiresAt = '', signature] = String(password).split('.')
    const good = signature === signed(expiresAt) && Number(expiresAt) > Date.now()
    figures[good ? 'accepted' : 'refused']++
    if (good) setTimeout(() => client.close(), Number(expiresAt) - Date.now()).unref()
    done(null, good)
  }
  aedes.on('publish', ({ payload }, client) => {
    if (client === null) return
    const text = payload.toString()
    arrived.set(text, (arrived.get(text) ?? 0) + 1)
  })
  const server = createServer(aedes.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.onTestFinished(() => {
    aedes.close()
    server.close()
  })
  let expired = false
  const fetchToken = () => {
    const life = expired ? -1000 : 2000
    expired = false
    return issue(life)
  }
  const gateway = new Gateway(
    {
      url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
      protocolVersion: 4,
      username: 'device',
      reconnect: QUICK,
      connectOptions: renewedToken(fetchToken, 100),
    },
    { topic: 'tokens', qos: 1, everyMs: 5 },
  )
  return {
    name,
    async disturb() {
      expired = true
      await until(() => !expired, 'a token was fetched', 30_000)
      return 'an expired token was issued'
    },
    async finish() {
      await gateway.stop()
      const has = (payload: string) => arrived.has(payload)
      await arrives(() => gateway.problems(has).length === 0)
      return {
        name,
        produced: gateway.produced,
        figures: { ...figures, reconnections: gateway.reconnections },
        problems: gateway.problems(has),
      }
    },
  }
}

/** SCRAM-SHA-256 at connect, again on request, and begun by the server, while messages are sent. */
export async function authentication(scope: Scope): Promise<Station> {
  const name = 'SCRAM-SHA-256'
  const users = new Map([['device', 'pencil']])
  const server = await AuthenticatingServer.open(scope, scramServer(users))
  const gateway = new Gateway(
    {
      url: server.url,
      reconnect: QUICK,
      authenticator: { ...scramSha256('device', 'pencil'), serverMayStart: true },
    },
    { topic: 'scram', qos: 1, everyMs: 10 },
  )
  const figures = { again: 0, begunByServer: 0 }
  const connected = () => gateway.loop.state.connection.kind === 'connected'
  await until(connected, 'it is connected')
  const faults = {
    async again() {
      await gateway.loop.reauthenticate()
      figures.again++
    },
    async 'begun by the server'() {
      server.current.challenge()
      const codes = () => server.current.codes
      await until(() => codes().at(-1) === 'server 0', 'the exchange ends')
      figures.begunByServer++
    },
    async reset() {
      server.current.destroy()
      const before = server.connections.length
      await until(() => server.connections.length > before && connected(), 'it is back', 30_000)
    },
  }
  return {
    name,
    async disturb(random) {
      const fault = pick(Object.keys(faults) as (keyof typeof faults)[], random)
      await faults[fault]()
      return fault
    },
    async finish() {
      await gateway.stop()
      const published = new Set(server.published)
      return {
        name,
        produced: gateway.produced,
        figures: {
          ...figures,
          connections: server.connections.length,
          reconnections: gateway.reconnections,
        },
        problems: gateway.problems((payload) => published.has(payload)),
      }
    },
  }
}
