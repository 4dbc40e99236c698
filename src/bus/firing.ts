/**
 * How is an event announced? Its payload is validated and published at QoS 1, by a process that
 * serves the API. (B2, values are validated at both ends; B9, only who serves an API fires its
 * events)
 */
import type { ClientPublishOptions } from '../client/index.ts'
import { type PublishProperties, UsageError } from '../index.ts'
import type { Api, ApiEvent } from './api-types.ts'
import { apiTopic, eventTopic } from './bus-names.ts'
import { type BusParts, uuid } from './bus-parts.ts'
import { type EventFacts, sizeWhenSent } from './bus-reports.ts'
import { faultText, issuesIn } from './calling.ts'
import { isAttributeText } from './cloud-event.ts'
import { checkFieldNames } from './define-api.ts'
import { envelopeHeaders, keepsEnvelope } from './event-envelope.ts'
import type { Fired, FireOptions } from './fire-types.ts'
import { runHooks } from './hook-table.ts'
import type { FireContext } from './hook-types.ts'

const FIRE_FIELDS = ['key', 'id', 'headers', 'durable', 'signal']
const TEXT_LENGTH_MAX = 200
const NO_FIRE_OPTIONS: FireOptions = Object.freeze({})

/** What is known of an event before its payload. */
interface FirePlan {
  readonly api: Api
  readonly name: string
  readonly event: ApiEvent
  /** Names the event in errors. */
  readonly what: string
  readonly id: string
  /** What is reported, if anybody listens. */
  readonly facts: EventFacts | null
}

/** Announces an event. @throws as `bus.fire()`, not always by its promise. */
export function fireEvent(
  bus: BusParts,
  api: Api,
  name: string,
  payload: unknown,
  options: FireOptions = NO_FIRE_OPTIONS,
): Promise<Fired> {
  const what = `fire: ${api.name} ${name}`
  if (!Object.hasOwn(api.events, name)) {
    const names = Object.keys(api.events).join(', ')
    throw new UsageError(`${what}: there is no such event; ${api.name} has ${names || 'none'}`)
  }
  checkFireOptions(bus, what, options)
  if (!bus.served.has(apiTopic(bus.prefix, api))) {
    const remedy = 'an API is fired by who serves it; call bus.serve() first'
    throw new UsageError(`${what}: this bus does not serve ${api.name}: ${remedy}`)
  }
  const { id = uuid(bus.clock) } = options
  const { reports } = bus
  const facts: EventFacts | null = reports.hasEventListeners
    ? {
        ...{ kind: 'fire', api: api.name, version: api.version, event: name, id, by: bus.by },
        ...{ listener: null, attempt: 1, payloadBytes: 0 },
      }
    : null
  const plan = { api, name, event: api.events[name]!, what, id, facts }
  const run = () => fire(bus, plan, payload, options)
  return facts === null ? run() : reports.fire(facts, run)
}

async function fire(
  bus: BusParts,
  plan: FirePlan,
  payload: unknown,
  options: FireOptions,
): Promise<Fired> {
  const { api, name, id } = plan
  const hooks = bus.hooks.of('fire', api.name)
  if (hooks.length === 0) return { id, unheard: await publishEvent(bus, plan, payload, options) }
  const context: FireContext = {
    ...{ kind: 'fire', api: api.name, version: api.version, name, value: payload, id },
    headers: { ...options.headers },
  }
  const isUnheard = await runHooks(hooks, context, () =>
    publishEvent(bus, plan, context.value, { ...options, headers: context.headers }),
  )
  return { id, unheard: isUnheard === true }
}

function checkFireOptions(bus: BusParts, what: string, options: FireOptions): void {
  if (options === NO_FIRE_OPTIONS) return
  checkFieldNames(`${what}: options`, options, FIRE_FIELDS)
  const { key, id, durable = false, signal } = options
  for (const [field, text] of Object.entries({ key, id })) {
    if (text === undefined) continue
    if (typeof text === 'string' && text !== '' && text.length <= TEXT_LENGTH_MAX) continue
    throw new UsageError(`${what}: ${field} must be a text of 1 to ${TEXT_LENGTH_MAX} characters`)
  }
  if (bus.envelope === 'cloudevents' && !isAttributeText(id ?? '')) {
    throw new UsageError(`${what}: the id of a CloudEvent must not have control characters`)
  }
  if (typeof durable !== 'boolean') throw new UsageError(`${what}: durable must be true or false`)
  if (!durable) return
  if (bus.outbox === undefined) {
    const remedy = 'give createBus() the option `outbox`, such as a spool() of it-mqtt/disk'
    throw new UsageError(`${what}: durable needs an outbox: ${remedy}`)
  }
  if (signal !== undefined) {
    throw new UsageError(`${what}: an event in the outbox cannot be given up; leave out the signal`)
  }
}

/** @returns whether the server says that nobody has subscribed. */
async function publishEvent(
  bus: BusParts,
  { api, name, event, what, id, facts }: FirePlan,
  value: unknown,
  { key, headers, durable, signal }: FireOptions,
): Promise<boolean> {
  const { validate, codec, qos } = bus.termsOf(api.name)
  if (validate.outgoing) {
    const issues = await issuesIn(bus, event.payload, value)
    if (issues !== undefined) {
      const where = event.payload === undefined ? 'is not taken' : faultText(issues)
      throw new UsageError(`${what}: the payload ${where}`, { code: 'INVALID_PAYLOAD', issues })
    }
  }
  const topic = eventTopic(apiTopic(bus.prefix, api), name, key)
  const { contentType, payloadFormatIndicator } = codec
  const properties: { -readonly [Name in keyof PublishProperties]: PublishProperties[Name] } = {}
  if (value !== undefined && contentType !== undefined) properties.contentType = contentType
  if (value !== undefined && payloadFormatIndicator !== undefined) {
    properties.payloadFormatIndicator = payloadFormatIndicator
  }
  properties.userProperties = envelopeHeaders(bus, api, name, id, headers)
  // What is sent is the payload as it was given: listeners make its transformations.
  const payload = codec.encode(value)
  if (facts !== null) facts.payloadBytes = sizeWhenSent(payload)
  if (durable === true) {
    await bus.outbox!.push({ cmd: 'publish', topic, payload, qos: 1, properties })
    return false
  }
  const isKept = await keepsEnvelope(bus, { signal })
  const options: ClientPublishOptions = { qos, signal, properties: isKept ? properties : undefined }
  const { noMatchingSubscribers } = await bus.client.publish(topic, payload, options)
  return noMatchingSubscribers === true
}
