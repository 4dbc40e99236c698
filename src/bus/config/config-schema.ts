/**
 * Which settings can a configuration have? A JSON Schema, for editors, and for check-config.ts,
 * which understands the keywords that are used here. Its own keywords begin with `x-`.
 */
import type { JsonSchema } from '../api-types.ts'

/** The part of JSON Schema that is used here. */
export interface ConfigRule {
  readonly type?: ConfigType | readonly ConfigType[]
  readonly description?: string
  readonly enum?: readonly (string | number)[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: ConfigRule
  readonly minItems?: number
  readonly properties?: Readonly<Record<string, ConfigRule>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | ConfigRule
  readonly propertyNames?: { readonly pattern: string }
  readonly not?: { readonly const: unknown }
  /** What a text that does not fit the pattern has to be, in words. */
  readonly 'x-expected'?: string
  /** The unit of a number. */
  readonly 'x-unit'?: 'ms' | 's'
  /** Whether {hostname}, {pid} and {random8} stand for something. */
  readonly 'x-placeholders'?: true
}

export type ConfigType = 'string' | 'number' | 'integer' | 'boolean' | 'array' | 'object'

const BUS_NAME = '^[A-Za-z0-9_-]{1,100}$'
const NAME_WORDS = '1 to 100 of A-Z, a-z, 0-9, "_" and "-"'
const LEVELS = '^[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})*$'
const LEVEL_WORDS = 'levels of A-Z, a-z, 0-9, "_" and "-", joined by "/"'
const FEATURE_LIST = {
  type: 'array',
  items: { enum: ['rpcs', 'events', 'tasks'] },
} as const satisfies ConfigRule

const wholeRule = (description: string, minimum: number, maximum: number): ConfigRule => ({
  ...{ type: 'integer', description, minimum, maximum },
})
const msRule = (description: string, maximum = 86_400_000): ConfigRule => ({
  ...{ type: 'number', description, minimum: 1, maximum, 'x-unit': 'ms' },
})
const flagRule = (description: string): ConfigRule => ({ type: 'boolean', description })
const wordsRule = (description: string): ConfigRule => ({
  type: 'string',
  description,
  minLength: 1,
})
const closedRule = (
  properties: NonNullable<ConfigRule['properties']>,
  more: ConfigRule = {},
): ConfigRule => ({ type: 'object', properties, additionalProperties: false, ...more })

const VALIDATE = closedRule(
  {
    outgoing: flagRule('What this process sends. Default true.'),
    incoming: flagRule('What this process receives. Default true.'),
    remote: flagRule('Also with the schemas that others have at the server. Default false.'),
    trustPatterns: flagRule('Whether the patterns of these are run. Default false.'),
  },
  { description: 'Which values are compared with their schemas.' },
)

const API = closedRule({
  timeout: msRule('After how many ms a call is rejected. Default 5000.'),
  validate: VALIDATE,
  log: {
    description:
      'From which level on lines about it are written. Default: as for the whole bus, where it ' +
      'is warn in `it-mqtt bus run`, and debug with a logger of your own.',
    enum: ['debug', 'info', 'warn', 'error', 'silent'],
  },
  strict: flagRule('Whether all schemas must have a JSON Schema form. Default false.'),
  codec: {
    description: 'How values become payloads, at both sides. Default json.',
    enum: ['json', 'text', 'bytes'],
  },
  qos: { description: 'The QoS of calls and events. Default 1.', enum: [0, 1] },
})

const LISTENER = closedRule({
  onError: {
    description: 'What happens if a handler throws. Default stop.',
    enum: ['stop', 'skip', 'retry', 'deadLetter'],
  },
  retry: closedRule({
    max: wholeRule('How many attempts follow the first one. Default 5.', 1, 1_000_000),
    minMs: msRule('The first delay. Default 100.'),
    maxMs: msRule('The longest delay. Default 30000.'),
    ['then']: {
      description: 'What happens after the last attempt. Default stop.',
      enum: ['stop', 'skip', 'deadLetter'],
    },
  }),
  concurrency: wholeRule('How many handlers may run. Default 1.', 1, 65_535),
  dedupe: closedRule(
    { memory: wholeRule('How many of the latest events are known.', 1, 10_000_000) },
    {
      type: ['object', 'boolean'],
      description: 'How events that come again are recognized; false: not at all.',
      required: ['memory'],
      not: { const: true },
    },
  ),
  share: flagRule('Whether the processes of the service share the name. Default true.'),
  stream: { description: 'What one subscription is. Default event.', enum: ['event', 'api'] },
  sessionExpiryInterval: {
    ...wholeRule('How long the server keeps the session. Default 604800.', 1, 4_294_967_295),
    'x-unit': 's',
  },
  retainDead: flagRule('Whether dead letters are retained. Default false.'),
})

const TLS = closedRule({
  caFile: wordsRule('Certificates of authorities, in PEM.'),
  certFile: wordsRule('The certificate of this process, in PEM.'),
  keyFile: wordsRule('Its key, in PEM.'),
  passphraseFile: wordsRule('The passphrase of the key.'),
  servername: wordsRule('The name that the certificate of the server must have.'),
  rejectUnauthorized: flagRule('Whether the certificate of the server is verified. Default true.'),
})

const CLIENT = closedRule(
  {
    url: {
      type: ['string', 'array'],
      description: 'The server, such as mqtts://broker, or several.',
      minLength: 1,
      minItems: 1,
      items: { type: 'string', minLength: 1 },
    },
    clientId: { ...wordsRule('Default: made of service and process.'), 'x-placeholders': true },
    username: wordsRule('The user name.'),
    password: { type: 'string', description: 'The password; passwordFile is safer.' },
    passwordFile: wordsRule('The password is the first line of this file.'),
    protocolVersion: { description: 'The version of MQTT. Default 5, or 4.', enum: [5, 4, 3] },
    keepAlive: { ...wholeRule('0: none. Default 60.', 0, 65_535), 'x-unit': 's' },
    sessionExpiryInterval: {
      ...wholeRule('How long the server keeps the session of calls. Default 0.', 0, 4_294_967_295),
      'x-unit': 's',
    },
    connectTimeout: msRule('How long an attempt may take. Default 30000.', 3_600_000),
    reconnect: {
      description: 'When to connect again. Default after-first-success.',
      enum: ['always', 'after-first-success', 'never'],
    },
    receiveMaximum: wholeRule('How many messages may be unacknowledged.', 1, 65_535),
    maximumPacketSize: wholeRule('The largest packet, in bytes.', 1, 268_435_455),
    maxInflight: wholeRule('How many publishes may be unacknowledged.', 1, 65_000),
    tls: TLS,
  },
  { description: 'The connection to the server.', required: ['url'] },
)

const HOOK = closedRule(
  {
    module: {
      ...wordsRule('A module that exports a function hooks(options).'),
      pattern: '^(\\.{0,2}/|[A-Za-z]:[\\\\/])',
      'x-expected': 'a path that begins with ./, ../ or /',
    },
    options: { description: 'What the function is given.' },
    enabled: flagRule('Default true.'),
  },
  { required: ['module'] },
)

/** What a configuration may have. */
export const CONFIG_RULES: ConfigRule = closedRule(
  {
    service: {
      ...{ type: 'string', description: 'The name of the service.' },
      ...{ pattern: BUS_NAME, 'x-expected': NAME_WORDS, 'x-placeholders': true },
    },
    process: {
      ...{ type: 'string', description: 'The name of this process, the same after a restart.' },
      ...{ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' },
      ...{ 'x-expected': 'a text without control characters', 'x-placeholders': true },
    },
    prefix: {
      ...{ type: 'string', description: 'The levels before all topics. Default bus.' },
      ...{ pattern: LEVELS, 'x-expected': LEVEL_WORDS, 'x-placeholders': true },
    },
    client: CLIENT,
    envelope: {
      description: 'How events that are fired say what they are. Default itm.',
      enum: ['itm', 'cloudevents'],
    },
    control: flagRule('Whether this process answers those who ask who is there. Default true.'),
    presence: flagRule('Whether others see when this process comes and goes. Default false.'),
    schema: closedRule(
      {
        lifetime: {
          description: 'How long it lies at the server. Default retained.',
          enum: ['lease', 'retained'],
        },
        onBreaking: {
          description: 'What happens if it would break those who have the last one. Default warn.',
          enum: ['warn', 'refuse'],
        },
      },
      {
        type: ['object', 'boolean'],
        description: 'How the schemas of what is served are published; false: not at all.',
        not: { const: true },
      },
    ),
    apis: {
      type: 'object',
      description: 'Settings of all APIs (default), and of single ones by their names.',
      propertyNames: { pattern: LEVELS },
      'x-expected': LEVEL_WORDS,
      properties: { default: API },
      additionalProperties: API,
    },
    listeners: {
      type: 'object',
      description: 'Options of listeners by their names; the code comes first.',
      propertyNames: { pattern: BUS_NAME },
      'x-expected': NAME_WORDS,
      additionalProperties: LISTENER,
    },
    hooks: {
      type: 'array',
      description: 'Modules with hooks, outside of those in the code.',
      items: HOOK,
    },
    features: closedRule(
      { only: FEATURE_LIST, skip: FEATURE_LIST },
      {
        description: 'Which part of the work run() does.',
      },
    ),
  },
  { required: ['service', 'client'] },
)

/** The JSON Schema of a configuration (`bus.yaml`), for editors. `loadConfig()` checks with it. */
export const configSchema: JsonSchema = Object.freeze({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'The configuration of a bus of it-mqtt',
  ...CONFIG_RULES,
})
