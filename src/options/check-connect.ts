/**
 * Are the properties, the will and the credentials of the CONNECT packet valid?
 */
import { describe, UsageError } from '../errors.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { topicNameProblem } from '../protocol/topics.ts'
import { checkFields, flag, isBase64, isPlainObject, wrong } from '../requests/check.ts'
import { credentials } from './endpoint.ts'
import type { EventloopOptions, WillOptions } from './options.ts'

/** Properties of CONNECT that are options of their own, because the engine itself obeys them. */
const OWN_PROPERTIES = [
  'sessionExpiryInterval',
  'receiveMaximum',
  'maximumPacketSize',
  'topicAliasMaximum',
] as const

/** Checks the properties, the will and the credentials of the CONNECT packet. */
export function checkConnect(options: EventloopOptions, protocolVersion: ProtocolVersion): void {
  checkProperties('properties', options.properties, protocolVersion)
  for (const name of OWN_PROPERTIES) {
    if (options.properties?.[name] === undefined) continue
    throw new UsageError(`properties.${name}: give it as the option ${name}`)
  }
  checkWill(options.will, protocolVersion)
  const { username, password } = credentials(options)
  if (protocolVersion < 5 && password !== undefined && username === undefined) {
    throw new UsageError('password: MQTT 3 allows no password without a user name [MQTT-3.1.2-22]')
  }
}

const WILL_FIELDS: ReadonlySet<string> = new Set([
  ...['topic', 'payload', 'qos', 'retain', 'properties'],
])

function checkWill(will: WillOptions | undefined, protocolVersion: number): void {
  if (will === undefined) return
  if (!isPlainObject(will)) throw wrong('will', 'an object with topic and payload', will)
  checkFields('will', will, WILL_FIELDS)
  const { topic, payload = '', qos, retain, properties } = will
  if (typeof topic !== 'string') throw wrong('will.topic', 'a string', topic)
  const problem = topicNameProblem(topic)
  if (problem !== null) throw new UsageError(`will.topic ${problem}: ${describe(topic)}`)
  if (typeof payload !== 'string' && !(payload instanceof Uint8Array) && !isBase64(payload)) {
    throw wrong('will.payload', 'a string, bytes or { base64 }', payload)
  }
  if (![undefined, 0, 1, 2].includes(qos)) throw wrong('will.qos', '0, 1 or 2', qos)
  flag('will.retain', retain, false)
  checkProperties('will.properties', properties, protocolVersion)
}

function checkProperties(name: string, given: unknown, protocolVersion: number): void {
  if (given === undefined) return
  if (!isPlainObject(given)) throw wrong(name, 'an object of properties', given)
  if (protocolVersion === 5) return
  throw new UsageError(
    `${name}: only MQTT 5 has properties; leave them out or set protocolVersion: 5`,
  )
}
