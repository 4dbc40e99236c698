/**
 * Goal: connections are opened, lost and replaced as promised with real parts around them. Method:
 * nginx and HAProxy that cut idle connections, two mosquittos and a RabbitMQ cluster whose nodes
 * are killed, and network hints. Each test stands beside a control: the same loop under a condition
 * in which it must fail, or must not move.
 */
import { pushable } from 'it-pushable'
import { describe, expect, type TestContext, test } from 'vitest'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  publish,
  type Request,
  subscribe,
  type Transition,
} from '../../src/index.ts'
import {
  type Balancer,
  HAPROXY,
  IDLE_LIMIT_MS,
  NGINX,
  startHaproxy,
  startNginx,
} from '../support/balancers.ts'
import { Cluster, RABBIT } from '../support/cluster.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/process.ts'
import { Relay } from '../support/relay.ts'

/** Skips the test if a program is missing; fails it if brokers are required. */
function requireProgram(context: TestContext, name: string, path: string | undefined): void {
  if (path !== undefined) return
  if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1')
    throw new Error(`${name} is required and not installed`)
  console.log(`not run, ${name} is not installed: ${context.task.name}`)
  context.skip(`${name} is not installed: not run`)
}

/** The interval of a steady stream, in ms: one publish each. */
const PACE_MS = 5
const QUICK = { when: 'always', minMs: 10, maxMs: 200 } as const

/** A loop that is consumed, with everything that can be seen of it. */
class Client implements AsyncDisposable {
  readonly loop: Eventloop
  readonly transitions: Transition[] = []
  /** The endpoints of its connections, in order. */
  readonly endpoints: string[] = []
  /** Payloads of the publishes that arrived, and how many packets of each kind did. */
  readonly messages: string[] = []
  readonly counts: Record<string, number> = {}
  /** Payloads of its publishes, by their outcome. */
  readonly delivered: number[] = []
  readonly failures: unknown[] = []
  published = 0
  readonly #requests = pushable<Request>({ objectMode: true })
  #pace: NodeJS.Timeout | undefined
  readonly #consumed: Promise<void>

  constructor(options: EventloopOptions, first: readonly Request[] = []) {
    for (const request of first) this.#requests.push(request)
    this.loop = eventloop(
      {
        ...options,
        onSettled: (request, outcome) => {
          if (request.cmd !== 'publish') return
          if (outcome.ok) this.delivered.push(Number(request.payload))
          else this.failures.push(outcome.error)
        },
      },
      this.#requests,
    )
    void this.#watch()
    this.#consumed = this.#consume()
    // A caller that waits for the end gets the error.
    this.#consumed.catch(() => {})
  }

  async #watch(): Promise<void> {
    for await (const transition of this.loop.transitions()) {
      this.transitions.push(transition)
      if (transition.to === 'connected') this.endpoints.push(this.endpoint)
    }
  }

  async #consume(): Promise<void> {
    for await (const packet of this.loop) {
      this.counts[packet.cmd] = (this.counts[packet.cmd] ?? 0) + 1
      if (packet.cmd === 'publish') this.messages.push(packet.payload.toString())
    }
  }

  get endpoint(): string {
    return this.loop.state.connection.endpoint
  }

  get kind(): string {
    return this.loop.state.connection.kind
  }

  /** The reasons that ended its connections. */
  get losses(): readonly Transition[] {
    return this.transitions.filter(({ from, to }) => from === 'connected' && to !== 'closing')
  }

  async connected(endpoint: string): Promise<void> {
    const there = () => this.kind === 'connected' && this.endpoint === endpoint
    const state = () => JSON.stringify(this.loop.state.connection)
    await until(
      () => there() || this.kind === 'failed',
      () => `connected to ${endpoint}, but ${state()}`,
    )
    expect(this.kind, state()).toBe('connected')
  }

  publishSteadily(topic: string): void {
    this.#pace = setInterval(() => this.publish(topic), PACE_MS)
  }

  publish(topic: string): void {
    this.#requests.push(publish(topic, String(this.published++), { qos: 1 }))
  }

  /** Waits for this many outcomes more than there are now. */
  delivers(more: number): Promise<void> {
    const enough = this.delivered.length + more
    return until(() => this.delivered.length >= enough, `${more} more publishes are delivered`)
  }

  /** Sends no more requests; the loop ends when the last of them is settled. */
  finish(): Promise<void> {
    clearInterval(this.#pace)
    this.#requests.end()
    return this.#consumed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#pace)
    await this.loop.return()
  }
}

/** Expects one good outcome for each publish. */
function expectAllDelivered(client: Client): void {
  expect(client.failures).toEqual([])
  const all = Array.from({ length: client.published }, (_, number) => number)
  expect(client.delivered.toSorted((a, b) => a - b)).toEqual(all)
}

/** Whether a connection was killed: it was reset, or ended while nothing was under way. */
const LOST = 'connected: closed or reset'

function asText({ from, to, reason }: Transition): string {
  if (reason === null) return `${from} > ${to}`
  const { phase, code } = reason
  const lost = phase === 'connected' && /^(ECONNRESET|EPIPE|CONNECTION_CLOSED)$/.test(code)
  return `${from} > ${to} (${lost ? LOST : `${phase}: ${code}`})`
}

/**
 * A port that the system does not use for outgoing connections, beside the broker's own: a dial to
 * a broker that is down must not connect to itself.
 */
async function listeners(): Promise<{ readonly url: string; readonly lines: readonly string[] }> {
  const port = await freePort()
  const lines = ['listener {port} 127.0.0.1', `listener ${port} 127.0.0.1`]
  return { url: `mqtt://127.0.0.1:${port}`, lines }
}

describe('[T2] limits for what is idle', () => {
  /**
   * Keep-alive for the limits of these tests. Over WebSocket the default is 25 s where limits are
   * 30 s; keep-alive counts whole seconds, so limits of 3 s allow no closer ratio.
   */
  const KEEP_ALIVE = 2
  const LIMITS = 4

  /**
   * Two loops that send nothing of their own accord: one keeps alive, the other would only after
   * half a minute.
   */
  async function expectLimitOvercome(url: string, balancer: Balancer, cut: RegExp): Promise<void> {
    await using kept = new Client({ url, keepAlive: KEEP_ALIVE, until: 'closed' })
    await kept.connected(url)
    const from = performance.now()
    await using control = new Client({ url, keepAlive: 30, until: 'closed' })
    const passed = () => performance.now() - from >= LIMITS * IDLE_LIMIT_MS
    await until(() => passed() || kept.losses.length > 0, 'four limits pass')
    await until(() => control.endpoints.length >= 2, 'the control is connected again')

    expect(kept.transitions.map(asText)).toEqual(['idle > connecting', 'connecting > connected'])
    expect(kept.loop.state.counters.reconnections).toEqual({})
    expect(kept.counts['pingresp']).toBeGreaterThanOrEqual(LIMITS)

    const [loss] = control.losses
    const connectedAt = control.transitions.find(({ to }) => to === 'connected')!.at
    expect(asText(loss!)).toBe(`connected > disconnected (${LOST})`)
    // nginx may cut up to 0.3 s early: it does not set a timer again for a smaller difference.
    expect(loss!.at - connectedAt).toBeGreaterThan(0.8 * IDLE_LIMIT_MS)
    expect(control.counts['pingresp']).toBeUndefined()
    expect(Object.keys(control.loop.state.counters.reconnections)).toHaveLength(1)
    expect(balancer.log).toMatch(cut)
  }

  test.concurrent('[T2] through nginx a WebSocket with a fitting keepAlive outlives four limits, one without is cut and comes back', async (context) => {
    requireMosquitto(context)
    requireProgram(context, 'nginx', NGINX)
    const port = await freePort()
    await using _broker = await Mosquitto.start([
      'listener {port} 127.0.0.1',
      ...[`listener ${port} 127.0.0.1`, 'protocol websockets'],
    ])
    await using balancer = await startNginx(port)
    const url = `ws://127.0.0.1:${balancer.port}`
    const cut = /upstream timed out .* while proxying upgraded connection/
    await expectLimitOvercome(url, balancer, cut)
    await using unasked = new Client({ url, until: 'closed' })
    await unasked.connected(url)
    expect(unasked.loop.state.connection.keepAlive).toBe(25)
  })

  test.concurrent('[T2] through HAProxy a TCP connection with a fitting keepAlive outlives four limits, one without is cut and comes back', async (context) => {
    requireMosquitto(context)
    requireProgram(context, 'haproxy', HAPROXY)
    await using broker = await Mosquitto.start()
    await using balancer = await startHaproxy(broker.port)
    // HAProxy's log says by these letters that the client (c) or the server (s) was silent too long
    // in the data phase (D).
    await expectLimitOvercome(`mqtt://127.0.0.1:${balancer.port}`, balancer, / [cs]D /)
  })
})

describe('[T4] several servers', () => {
  test('[T4] after the primary is killed the secondary is used, and after that one the primary: every publish arrives', async (context) => {
    requireMosquitto(context)
    const [first, second] = [await listeners(), await listeners()]
    await using primary = await Mosquitto.start(first.lines)
    await using secondary = await Mosquitto.start(second.lines)
    await using client = new Client({ url: [first.url, second.url], reconnect: QUICK })
    client.publishSteadily('failover')
    await client.connected(first.url)
    await client.delivers(100)

    await primary.down('SIGKILL')
    await client.connected(second.url)
    await client.delivers(100)

    await primary.up()
    await client.delivers(100)
    // A good connection is kept although a better server is back.
    expect(client.endpoints).toEqual([first.url, second.url])

    await secondary.down('SIGKILL')
    await client.connected(first.url)
    await client.delivers(100)
    await client.finish()

    expectAllDelivered(client)
    expect(client.endpoints).toEqual([first.url, second.url, first.url])
    expect(client.transitions.map(asText)).toEqual([
      'idle > connecting',
      'connecting > connected',
      `connected > disconnected (${LOST})`,
      `disconnected > connecting (${LOST})`,
      'connecting > disconnected (dial: ECONNREFUSED)',
      'disconnected > connecting (dial: ECONNREFUSED)',
      'connecting > connected',
      `connected > disconnected (${LOST})`,
      `disconnected > connecting (${LOST})`,
      'connecting > connected',
      'connected > closing',
      'closing > closed',
    ])
  })

  test('[T4] while connectivityCheck says offline only the primary is tried; once it says online, the secondary', async (context) => {
    requireMosquitto(context)
    const [first, second] = [await listeners(), await listeners()]
    await using primary = await Mosquitto.start(first.lines)
    await using secondary = await Mosquitto.start(second.lines)
    const other = await Relay.open(context, secondary.port)
    let online = false
    let checks = 0
    const connectivityCheck = async () => {
      checks++
      return online
    }
    const url = [first.url, other.url]
    await using client = new Client({ url, reconnect: QUICK, connectivityCheck })
    client.publishSteadily('failover')
    await client.connected(first.url)
    await client.delivers(100)
    expect(checks).toBe(0)

    await primary.down('SIGKILL')
    await until(() => checks >= 4, 'the primary is tried again and again')
    const { reconnections } = client.loop.state.counters
    expect(reconnections['ECONNREFUSED']).toBeGreaterThanOrEqual(3)
    expect(client.endpoint).toBe(first.url)
    expect(client.endpoints).toEqual([first.url])
    expect(other.connections).toBe(0)

    online = true
    await client.connected(other.url)
    await client.delivers(100)
    await client.finish()
    expectAllDelivered(client)
    expect(client.endpoints).toEqual([first.url, other.url])
    expect(other.connections).toBe(1)
  })

  test('[T4] after a node of a RabbitMQ cluster is killed the other one is used: every publish arrives', async (context) => {
    requireProgram(context, 'rabbitmq-server', RABBIT)
    await using cluster = await Cluster.start(['a', 'b'])
    const [a, b] = cluster.nodes.map(({ url }) => url) as [string, string]
    const options = { protocolVersion: 4, reconnect: QUICK } as const
    // A message that is published on one node and arrives at the other has passed the cluster.
    await using subscriber = new Client({ ...options, url: b }, [subscribe('cluster', { qos: 1 })])
    await until(() => subscriber.counts['suback'] === 1, 'the subscription is granted')
    await using client = new Client({ ...options, url: [a, b] })
    client.publishSteadily('cluster')
    await client.connected(a)
    await client.delivers(100)

    await cluster.nodes[0]!.kill()
    await client.connected(b)
    await client.delivers(200)
    await client.finish()

    expectAllDelivered(client)
    expect(client.endpoints).toEqual([a, b])
    expect(asText(client.losses[0]!)).toBe(`connected > disconnected (${LOST})`)
    const arrived = () => new Set(subscriber.messages).size
    await until(
      () => arrived() === client.published,
      () => `${client.published} arrive, but ${arrived()}`,
    )
    expect(subscriber.losses).toEqual([])
  })
})

describe('[T5] networkHints', () => {
  /** A reconnect policy so slow that without a hint nothing happens within the time of a test. */
  const PATIENT = { when: 'always', minMs: 60_000, maxMs: 60_000 } as const
  /** A limit far from `PATIENT`, and long enough for a busy machine. */
  const SOON_MS = 5000

  function hinted(url: string, options: EventloopOptions = {}) {
    const hints = pushable<'online' | 'offline'>({ objectMode: true })
    const reconnect = PATIENT
    return { hints, client: new Client({ ...options, url, reconnect, networkHints: hints }) }
  }

  test('[T5] offline drops the connection immediately, and online dials immediately, although the policy waits a minute', async (context) => {
    requireMosquitto(context)
    await using broker = await Mosquitto.start()
    const { url } = broker
    await using witness = new Client({ url, until: 'closed' }, [subscribe('gone', { qos: 1 })])
    await until(() => witness.counts['suback'] === 1, 'the subscription is granted')
    const will = { topic: 'gone', payload: 'dropped', qos: 1 } as const
    const { hints, client: started } = hinted(url, { will })
    await using client = started
    await client.connected(url)

    const offlineAt = performance.now()
    hints.push('offline')
    await until(() => client.losses.length === 1, 'the connection is dropped')
    const [loss] = client.losses
    expect(loss!.at - offlineAt).toBeLessThan(SOON_MS)
    expect(asText(loss!)).toBe('connected > disconnected (connected: NETWORK_OFFLINE)')
    // The broker sees the end, too.
    await until(() => witness.messages.includes('dropped'), 'the will is published')
    const retryAt = () => client.loop.state.connection.retryAt ?? 0
    await until(() => retryAt() > 0, 'the next attempt is due')
    expect(retryAt() - offlineAt).toBeGreaterThanOrEqual(PATIENT.minMs)
    client.publish('held')

    const onlineAt = performance.now()
    hints.push('online')
    await client.delivers(1)
    expect(client.transitions.at(-1)!.at - onlineAt).toBeLessThan(SOON_MS)
    expect(client.transitions.map(asText)).toEqual([
      'idle > connecting',
      'connecting > connected',
      'connected > disconnected (connected: NETWORK_OFFLINE)',
      'disconnected > disconnected (connected: NETWORK_OFFLINE)',
      'disconnected > connecting (connected: NETWORK_OFFLINE)',
      'connecting > connected',
    ])
  })

  test('[T5] a broker is away and comes back: nothing happens until online, then the loop connects immediately', async (context) => {
    requireMosquitto(context)
    const { url, lines } = await listeners()
    await using broker = await Mosquitto.start(lines)
    const { hints, client: started } = hinted(url)
    await using client = started
    await client.connected(url)
    await broker.restart('SIGKILL')
    const { loop } = client
    await until(() => (loop.state.connection.retryAt ?? 0) > 0, 'the next attempt is due')
    expect(loop.state.connection.retryAt! - client.losses[0]!.at).toBeGreaterThanOrEqual(
      PATIENT.minMs,
    )
    client.publish('held')
    expect(client.kind).toBe('disconnected')

    const onlineAt = performance.now()
    hints.push('online')
    // The end of the hints ends nothing else.
    hints.end()
    await client.delivers(1)
    expect(client.transitions.at(-1)!.at - onlineAt).toBeLessThan(SOON_MS)
    await client.finish()
    expectAllDelivered(client)
  })
})
