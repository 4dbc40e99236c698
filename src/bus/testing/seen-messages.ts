/**
 * Which calls and events have come to the broker? They are read from its log when a test asks, so
 * that nothing has to listen, and a bus behaves as without the test.
 */
import type { Codec } from '../../client/index.ts'
import type { PacketRecord, TestBroker } from '../../testing/index.ts'
import { type Api, inspectMessage } from '../index.ts'
import type { CallRecord, FireRecord } from './fake-types.ts'

/** A message on its way to the broker. */
type Publish = Extract<PacketRecord['packet'], { readonly cmd: 'publish' }>

/** What is the same for all calls and events. */
interface SeenMessage {
  readonly topic: string
  readonly value: unknown
  readonly name: string | null
  readonly by: string | null
  readonly headers: Readonly<Record<string, unknown>>
  readonly at: number
  readonly packet: Publish
}

/** A broker and what its messages are made of. */
export interface SeenBy {
  readonly broker: TestBroker
  readonly prefix: string
  /** The codec of an API, by its name. */
  readonly codecOf: (api: string) => Codec<unknown>
}

/** @returns the calls of an rpc, oldest first. */
export function callsSeen(by: SeenBy, api: Api, rpc: string): readonly CallRecord[] {
  const topic = `${apiBase(by, api)}/rpc/${rpc}`
  return messagesSeen(by, api, (given) => given === topic).map(({ value, name, ...rest }) => ({
    ...{ api: api.name, rpc, input: value as never, key: name },
    ...{ by: rest.by, headers: rest.headers, at: rest.at },
  }))
}

/** @returns the events, oldest first; without those of one client. */
export function eventsSeen(
  by: SeenBy,
  api: Api,
  event: string,
  except: string,
): readonly FireRecord[] {
  const base = `${apiBase(by, api)}/event/${event}`
  const found = messagesSeen(
    by,
    api,
    (topic) => topic === base || topic.startsWith(`${base}/`),
    except,
  )
  return found.map(({ topic, value, name, ...rest }) => ({
    ...{ api: api.name, event, value: value as never, id: name },
    key: topic === base ? null : decodeURIComponent(topic.slice(base.length + 1)),
    ...{ by: rest.by, headers: rest.headers, at: rest.at },
  }))
}

/** @returns the latest event of any API, or null. */
export function latestEvent({ broker, prefix }: SeenBy): Publish | null {
  const isEvent = new RegExp(`^${prefix}/.+/v\\d+/event/`)
  const events = publishes(broker).filter(({ packet }) => isEvent.test(packet.topic))
  return events.at(-1)?.packet ?? null
}

function apiBase({ prefix }: SeenBy, { name, major }: Api): string {
  return `${prefix}/${name}/v${major}`
}

/** @returns what came to the broker. */
function publishes(broker: TestBroker) {
  return broker.received.flatMap(({ packet, fault, at, clientId }) => {
    const isLost = fault === 'drop' || fault === 'kill'
    return packet.cmd === 'publish' && !isLost ? [{ packet, at, clientId }] : []
  })
}

function messagesSeen(
  { broker, prefix, codecOf }: SeenBy,
  api: Api,
  isMeant: (topic: string) => boolean,
  except?: string,
): readonly SeenMessage[] {
  const codec = codecOf(api.name)
  const names = new Set<string>()
  return publishes(broker).flatMap(({ packet, at, clientId }) => {
    const { topic, properties } = packet
    if (!isMeant(topic) || clientId === except) return []
    const headers = properties?.userProperties ?? {}
    // The types of mqtt-packet name fewer kinds of bytes.
    const message = { topic, payload: packet.payload, properties } as never
    const event = inspectMessage(message, prefix)
    const said = event?.kind === 'event' ? event : null
    const name = said === null ? firstText(headers['itm-key']) : said.id
    // What is sent again has the name that it had before, and says that it is sent again.
    const isAgain = packet.dup === true || headers['itm-attempt'] !== undefined
    if (isAgain && name !== null && names.has(name)) return []
    if (name !== null) names.add(name)
    const payload = packet.payload as Uint8Array
    const value = payload.length === 0 ? undefined : codec.decode(payload, { topic, properties })
    const by = said === null ? firstText(headers['itm-by']) : said.by
    return [{ topic, value, name, by, headers, at, packet }]
  })
}

function firstText(value: unknown): string | null {
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' ? first : null
}
