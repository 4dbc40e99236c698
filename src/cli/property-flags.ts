/**
 * What does `-D command identifier value` mean? Properties of MQTT 5, in the words of the mosquitto
 * clients. Each command has a table of its identifiers; whatever is not in it is refused.
 */
import { Option } from 'commander'
import type {
  ConnectProperties,
  PublishProperties,
  UserProperties,
  WillProperties,
} from '../index.ts'
import { UsageError } from '../index.ts'

export type Commands = 'connect' | 'publish' | 'subscribe' | 'unsubscribe' | 'will'
type Kind = 'text' | 'bytes' | 'number' | 'flag'
type Values = Record<string, unknown> & { userProperties?: UserProperties }

/** The properties of each command that was named; those of CONNECT may include options. */
export interface PropertyFlags {
  readonly connect?: ConnectProperties
  readonly publish?: PublishProperties
  readonly subscribe?: {
    readonly subscriptionIdentifier?: number
    readonly userProperties?: UserProperties
  }
  readonly unsubscribe?: { readonly userProperties?: UserProperties }
  readonly will?: WillProperties
}

const MESSAGE: Readonly<Record<string, Kind>> = {
  'content-type': 'text',
  'correlation-data': 'bytes',
  'message-expiry-interval': 'number',
  'payload-format-indicator': 'flag',
  'response-topic': 'text',
}

const IDENTIFIERS: Readonly<Record<Commands, Readonly<Record<string, Kind>>>> = {
  connect: {
    'maximum-packet-size': 'number',
    'receive-maximum': 'number',
    'request-problem-information': 'flag',
    'request-response-information': 'flag',
    'session-expiry-interval': 'number',
    'topic-alias-maximum': 'number',
  },
  publish: MESSAGE,
  subscribe: { 'subscription-identifier': 'number' },
  unsubscribe: {},
  will: { ...MESSAGE, 'will-delay-interval': 'number' },
}

/** What the mosquitto clients have and this one has not, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  'publish topic-alias': 'topic aliases of the client are not supported; leave it out',
  'connect authentication-method': 'enhanced authentication needs a program with `authenticator`',
  'connect authentication-data': 'enhanced authentication needs a program with `authenticator`',
}

/** The commands that the mosquitto clients accept and that send no packet of their own here. */
const WITHOUT_PROPERTIES = ['puback', 'pubrec', 'pubcomp', 'pubrel', 'disconnect', 'auth']

/** The option `-D` of a command, which takes the properties of the packets that it sends. */
export class PropertyOption extends Option {
  readonly #packets: readonly Commands[]

  constructor(packets: readonly Commands[]) {
    super(
      '-D, --property <words>',
      `a property of MQTT 5: -D ${packets.join('|')} identifier value`,
    )
    this.#packets = packets
    this.argParser((text: string, before: readonly string[] = []) => {
      const words = JSON.parse(text) as string[]
      if (this.takes(words)) return [...before, text]
      const all = packets.join(', ')
      throw new UsageError(`-D ${words[0]}: this command has no such packet; it has ${all}`)
    })
  }

  /** @returns false for the properties of a packet that only other commands send. */
  takes([packet = '']: readonly string[]): boolean {
    const name = packet.toLowerCase()
    return !Object.hasOwn(IDENTIFIERS, name) || this.#packets.includes(name as Commands)
  }
}

/** @returns the words of a property that is one text, as in a profile. */
export function propertyWords(text: string): string[] {
  const words = /^(\S+)\s+(user-property\s+\S+|\S+)(?:\s+(.*))?$/s.exec(text.trim()) ?? []
  const [, packet = '', names = '', ...rest] = words
  return [packet, ...names.split(/\s+/), ...rest.filter((one) => one !== undefined)]
}

/** How many words belong to a `-D` whose second word is this. */
export function propertyLength(identifier: string | undefined): 3 | 4 {
  return identifier === 'user-property' ? 4 : 3
}

/**
 * @param given the words of each `-D`, as `prepareArguments` joins them.
 * @throws UsageError that names the word at fault and the words that are allowed.
 */
export function propertiesOf(given: readonly string[] = []): PropertyFlags {
  const all: Partial<Record<Commands, Values>> = {}
  for (const joined of given) addProperty(all, JSON.parse(joined) as string[])
  return all as PropertyFlags
}

function addProperty(all: Partial<Record<Commands, Values>>, words: readonly string[]): void {
  const [spelled = '', identifier = '', ...values] = words
  const command = spelled.toLowerCase() as Commands
  if (words.length < propertyLength(identifier)) {
    throw new UsageError(
      '-D takes three words, command identifier value, or four: command user-property name value',
    )
  }
  const reason = REFUSED[`${command} ${identifier}`]
  if (reason !== undefined) throw new UsageError(`-D ${command} ${identifier}: ${reason}`)
  if (WITHOUT_PROPERTIES.includes(command)) {
    throw new UsageError(`-D ${command}: properties of this packet cannot be set; leave it out`)
  }
  if (!Object.hasOwn(IDENTIFIERS, command)) {
    throw new UsageError(`-D ${spelled}: expected ${Object.keys(IDENTIFIERS).join(', ')}`)
  }
  const identifiers = IDENTIFIERS[command]
  const properties: Values = (all[command] ??= {})
  if (identifier === 'user-property') {
    properties.userProperties = withPair(properties.userProperties, values)
    return
  }
  const kind = identifiers[identifier]
  if (kind === undefined) {
    const allowed = ['user-property', ...Object.keys(identifiers)].join(', ')
    throw new UsageError(`-D ${command} ${identifier}: expected one of ${allowed}`)
  }
  const name = camelCase(identifier)
  if (Object.hasOwn(properties, name)) {
    throw new UsageError(`-D ${command} ${identifier} is given twice; give it once`)
  }
  properties[name] = parsedProperty(kind, values[0] ?? '', `-D ${command} ${identifier}`)
}

function withPair(old: UserProperties = {}, [name = '', value = '']: string[]): UserProperties {
  const before = Object.hasOwn(old, name) ? old[name] : undefined
  const all = before === undefined ? value : [before, value].flat()
  return { ...old, [name]: all }
}

function parsedProperty(
  kind: Kind,
  text: string,
  where: string,
): string | number | boolean | Buffer {
  if (kind === 'text') return text
  if (kind === 'bytes') return Buffer.from(text)
  if (kind === 'flag') {
    if (text !== '0' && text !== '1') throw new UsageError(`${where}: 0 or 1 is expected`)
    return text === '1'
  }
  if (!/^\d+$/.test(text)) throw new UsageError(`${where}: a whole number is expected`)
  return Number(text)
}

function camelCase(identifier: string): string {
  return identifier.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}
