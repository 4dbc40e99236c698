/**
 * What does a cluster of brokers do that one broker does not have to do? Asked with raw clients: of
 * two nodes that live, of one whose other one was killed, and of both after it came back. The
 * answers are the cells of the table in docs/SCALING.md.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { IConnectPacket } from 'mqtt-packet'
import { until } from './process.ts'
import { RawClient } from './raw-client.ts'

/** A cluster as tests use it. */
export interface BrokerCluster extends AsyncDisposable {
  readonly nodes: readonly {
    readonly url: string
    up(): Promise<void>
    kill(): Promise<void>
  }[]
}

/** How long a message is waited for that may never come, in ms. */
const NEVER_MS = 1500
/** Most brokers answer first and tell their other nodes afterwards. */
const SPREAD_MS = 500

export class ClusterFacts {
  readonly #urls: readonly [string, string]
  readonly #version: 4 | 5
  readonly #open: RawClient[] = []
  #watcher: RawClient | null = null

  constructor({ nodes }: BrokerCluster, version: 4 | 5) {
    this.#urls = nodes.map(({ url }) => url) as [string, string]
    this.#version = version
  }

  /** Both nodes live. Leaves sessions, retained messages and a will for what comes later. */
  async bothLive(): Promise<Record<string, string>> {
    const [a, b] = [await this.#client('a', 0), await this.#client('b', 1)]
    await b.subscribe('news', 1)
    await a.publish([{ topic: 'news', payload: 'x' }])
    const hasSpread = await came(b, 'news')
    await a.publish([{ topic: 'kept/a', payload: 'x', retain: true }])
    await b.publish([{ topic: 'kept/b', payload: 'x', retain: true }])
    await sleep(SPREAD_MS)
    await b.subscribe('kept/a', 1)
    const isRetained = await came(b, 'kept/a')
    // A session that changes nodes.
    const before = await this.#session('moved', 0)
    await before.subscribe('to/moved', 1)
    const after = await this.#session('moved', 1)
    await until(() => before.closed, 'the node of before closes its connection')
    await a.publish([{ topic: 'to/moved', payload: 'x' }])
    const isTaken = isPresent(after) && (await came(after, 'to/moved'))
    after.cut()
    await a.publish([{ topic: 'to/moved', payload: 'x' }])
    const again = await this.#session('moved', 0)
    const hasWaited = isPresent(again) && (await came(again, 'to/moved'))
    again.cut()
    await this.#prepare()
    return {
      'a message reaches subscribers of the other node': yes(hasSpread),
      'a retained message is had from the other node': yes(isRetained),
      'a session is opened from the other node': yes(isTaken),
      'and has what waits in it': yes(hasWaited),
    }
  }

  async #prepare(): Promise<void> {
    for (const [id, node] of [
      ...[['on-killed', 0] as const, ['mirrored', 0] as const],
      ...[['on-living', 1] as const],
    ]) {
      const client = await this.#session(id, node)
      await client.subscribe(`to/${id}`, 1)
      client.cut()
    }
    this.#watcher = await this.#client('watcher', 1)
    await this.#watcher.subscribe('will', 1)
    const will = { topic: 'will', payload: Buffer.from('x'), qos: 1, retain: false } as const
    await this.#client('mortal', 0, { will })
    await sleep(SPREAD_MS)
    const publisher = await this.#client('publisher', 1)
    for (const id of ['on-killed', 'mirrored', 'on-living']) {
      await publisher.publish([{ topic: `to/${id}`, payload: 'x' }])
    }
    await sleep(SPREAD_MS)
  }

  /** The first node was killed. */
  async afterKill(): Promise<Record<string, string>> {
    const reader = await this.#client('reader', 1)
    await reader.subscribe('kept/a', 1)
    return {
      'the session of a client of the node that lives': await this.#sessionNow('on-living', 1),
      'the session of a client of the killed node': await this.#sessionNow('on-killed', 1),
      'the same, with mirrored queues': await this.#sessionNow('mirrored', 1),
      'retained messages that the killed node took': (await came(reader, 'kept/a'))
        ? 'are there'
        : 'are gone',
      'the will of a client of the killed node': (await came(this.#watcher!, 'will'))
        ? 'is published'
        : 'is not published',
    }
  }

  /** The first node is back. */
  async afterReturn(): Promise<Record<string, string>> {
    const reader = await this.#client('again', 0)
    await reader.subscribe('kept/a', 1)
    return {
      'the session of a client of the killed node, later': await this.#sessionNow('on-killed', 0),
      'retained messages that it took': (await came(reader, 'kept/a')) ? 'are there' : 'are gone',
    }
  }

  /** @returns what a client meets that opens its session: is it there, with what waited in it? */
  async #sessionNow(id: string, node: 0 | 1): Promise<string> {
    const client = await this.#session(id, node)
    const wasThere = isPresent(client)
    const hasWaited = await came(client, `to/${id}`)
    try {
      await client.subscribe(`to/${id}`, 1)
    } catch {
      return 'cannot be opened: SUBSCRIBE ends the connection'
    }
    // What is asked next begins anew.
    client.cut()
    if (!wasThere) return 'is lost: a new one begins'
    return hasWaited ? 'goes on' : 'goes on, without what waited'
  }

  #session(id: string, node: 0 | 1): Promise<RawClient> {
    const properties = { sessionExpiryInterval: 3600 }
    return this.#client(id, node, {
      clean: false,
      ...(this.#version === 5 ? { properties } : {}),
    })
  }

  async #client(id: string, node: 0 | 1, packet: Partial<IConnectPacket> = {}): Promise<RawClient> {
    const client = RawClient.open(this.#urls[node], this.#version, id, packet)
    this.#open.push(client)
    await client.got('connack')
    return client
  }

  end(): void {
    for (const client of this.#open) client.cut()
  }
}

/** Whether a message came, or comes within the time. */
async function came(client: RawClient, topic: string): Promise<boolean> {
  const isHere = () => client.of('publish').some((packet) => packet.topic === topic)
  const giveUpAt = performance.now() + NEVER_MS
  while (!isHere() && performance.now() < giveUpAt) await sleep(5)
  return isHere()
}

function isPresent(client: RawClient): boolean {
  return client.of('connack')[0]?.sessionPresent === true
}

const yes = (is: boolean) => (is ? 'yes' : 'no')
