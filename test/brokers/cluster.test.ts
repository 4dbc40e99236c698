/**
 * Goal: a bus whose brokers are a cluster of two nodes, of which one is killed (B1, B6), and what
 * docs/SCALING.md says of these clusters. Method: real nodes of ejabberd and of RabbitMQ; senders,
 * callers and workers at both nodes, and one SIGKILL.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createBus } from '../../src/bus/index.ts'
import { Cluster, RABBIT } from '../support/cluster.ts'
import { type BrokerCluster, ClusterFacts } from '../support/cluster-facts.ts'
import { ClusterFleet, news, work } from '../support/cluster-fleet.ts'
import { EjabberdCluster } from '../support/ejabberd-cluster.ts'
import { until } from '../support/process.ts'

const PAGE = readFileSync(new URL('../../docs/SCALING.md', import.meta.url), 'utf8')
const START_MS = 180_000

interface ClusterKind {
  readonly name: string
  readonly version: 4 | 5
  readonly isInstalled: boolean
  readonly withoutShare: string
  /** Whether the sessions of the fleet survive the node of their connection. */
  readonly keepsSessions: boolean
  /** Whether a session that is at a killed node only is in the way of a new one. */
  readonly strands: boolean
  /** Whether a killed node starts again while the other one lives. */
  readonly returns: boolean
  start(): Promise<BrokerCluster>
}

const CLUSTERS: readonly ClusterKind[] = [
  {
    name: 'ejabberd',
    version: 5,
    isInstalled: spawnSync('which', ['ejabberdctl']).status === 0,
    withoutShare: 'SUBSCRIBE_REFUSED',
    keepsSessions: false,
    strands: false,
    returns: true,
    start: () => EjabberdCluster.start(['a', 'b']),
  },
  {
    name: 'RabbitMQ',
    version: 4,
    isInstalled: RABBIT !== undefined,
    withoutShare: 'SHARED_UNAVAILABLE',
    keepsSessions: true,
    strands: true,
    returns: false,
    async start() {
      const cluster = await Cluster.start(['a', 'b'])
      await cluster.mirrorQueues('^mqtt-subscription-(bus[.]|mirrored)')
      return cluster
    },
  },
]

/** @returns the cells of a column of the page's table of two nodes, by row. */
function columnOf(name: string): Readonly<Record<string, string>> {
  const [table = ''] = /^[|] two nodes [|](?:.|\n[|])*/m.exec(PAGE) ?? []
  const rows = table.split('\n').map((line) => line.slice(2, -2).split(' | '))
  const index = rows[0]!.indexOf(name)
  return Object.fromEntries(rows.slice(2).map((cells) => [cells[0]!, cells[index]!]))
}

for (const kind of CLUSTERS) {
  const isAbsent = !kind.isInstalled && process.env['IT_MQTT_REQUIRE_BROKERS'] !== '1'
  if (isAbsent) console.log(`not run: ${kind.name} is not installed`)
  describe.skipIf(isAbsent)(`a cluster of two nodes of ${kind.name}`, { timeout: 120_000 }, () => {
    let cluster: BrokerCluster
    let facts: ClusterFacts
    const said = columnOf(kind.name)
    const ends: (() => Promise<void>)[] = []

    beforeAll(async () => {
      cluster = await kind.start()
      facts = new ClusterFacts(cluster, kind.version)
    }, START_MS)
    afterAll(async () => {
      facts?.end()
      for (const end of ends) await end()
      await cluster?.[Symbol.asyncDispose]()
    }, START_MS)

    test('does what the page says while both live', async () => {
      expect(said).toMatchObject(await facts.bothLive())
    })

    test('[B18] has no Shared Subscriptions, and a bus that needs them says so', async () => {
      const { url } = cluster.nodes[0]!
      const bus = createBus({
        service: 'sharing',
        client: { url, protocolVersion: kind.version, onWarning: () => {} },
      })
      onTestFinished(() => bus.close())
      bus.serve(work(0), { square: (size) => size * size })
      await expect(bus.run()).rejects.toMatchObject({ code: kind.withoutShare })
    })

    const warnings: string[] = []
    test.runIf(kind.strands)('has a listener whose session is at the first node only', async () => {
      const bus = createBus({
        ...{ service: 'stranded', process: 's', prefix: 'plain' },
        client: {
          url: cluster.nodes.map(({ url }) => url),
          protocolVersion: kind.version,
          reconnect: { when: 'always', minMs: 50, maxMs: 500 },
          onWarning: ({ code }) => warnings.push(code),
        },
      })
      ends.push(() => bus.close({ timeout: 1000 }))
      const listener = bus.api(news).happened.listen('ledger', { share: false }, () => {})
      bus.run().catch(({ code }) => warnings.push(code))
      await listener.granted
    })

    test('[B1] [B6] loses one: each call is answered or told, no event is lost at the other one, and the fleet goes on', async () => {
      const fleet = new ClusterFleet(cluster, kind.version)
      onTestFinished(() => fleet.close())
      await fleet.start()
      await fleet.goesOn()
      await cluster.nodes[0]!.kill()
      fleet.killed()
      await fleet.goesOn()
      await fleet.finish()
      const figures = fleet.figures()
      console.log(`${kind.name}: ${JSON.stringify(figures)}`)
      expect(figures.failures).toEqual([])
      expect(figures.pendingCalls).toBe(0)
      const codes = Object.keys(figures.told)
      expect(codes).toEqual(codes.filter((code) => /^[A-Z_]+$/.test(code)))
      expect(figures.missedAtLiving).toEqual([])
      if (kind.keepsSessions) expect(figures.missedAtKilled).toBe(0)
    })

    test.runIf(kind.strands)('[B6] a listener that cannot open its session says so', async () => {
      await cluster.nodes[0]!.kill()
      await until(() => warnings.includes('RENEWAL_REFUSED'), 'the renewal is refused')
    })

    test('does what the page says after one was killed', async () => {
      await cluster.nodes[0]!.kill()
      expect(said).toMatchObject(await facts.afterKill())
    })

    test.runIf(kind.returns)('does what the page says when it is back', async () => {
      await cluster.nodes[0]!.kill()
      await cluster.nodes[0]!.up()
      expect(said).toMatchObject(await facts.afterReturn())
    })
  })
}
