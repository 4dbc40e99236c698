/**
 * Which options have an effect with which transport and which version of MQTT?
 *
 * What has no effect is not accepted: `tls` with `mqtt:` would send a password in the clear, and
 * the user would not know. The table is total: a new option does not compile until it stands here.
 */
import { UsageError } from '../errors.ts'
import type { ProtocolVersion } from '../protocol/facts.ts'
import { list } from '../requests/check.ts'
import { schemeOf } from './address.ts'
import { type Scheme, urlsOf } from './endpoint.ts'
import type { EventloopOptions } from './options.ts'

/** `custom` is a transport of the user with a URL, `bare` one without. */
type Kind = 'tcp' | 'tls' | 'ws' | 'wss' | 'unix' | 'custom' | 'bare'

interface Rule {
  /** The transports with which the option has an effect. */
  readonly with: readonly Kind[]
  /** The versions of MQTT with which it has one. */
  readonly versions: readonly ProtocolVersion[]
  /** Whether there must be several servers. */
  readonly several: boolean
  /** What the option needs, for the message. */
  readonly needs: string
}

const KINDS: readonly Kind[] = ['tcp', 'tls', 'ws', 'wss', 'unix', 'custom', 'bare']
const VERSIONS: readonly ProtocolVersion[] = [5, 4, 3]

const ALWAYS: Rule = { with: KINDS, versions: VERSIONS, several: false, needs: '' }
const MQTT5: Rule = { ...ALWAYS, versions: [5], needs: 'MQTT 5' }
/** A transport of the user is given these options, and may use them. */
const SOCKET: Rule = {
  ...{ ...ALWAYS, with: ['tcp', 'tls', 'ws', 'wss', 'custom', 'bare'] },
  needs: 'mqtt:, mqtts:, ws: or wss:',
}

const RULES: Readonly<Record<keyof EventloopOptions, Rule>> = {
  // the server
  url: ALWAYS,
  headers: { ...ALWAYS, with: ['ws', 'wss', 'custom', 'bare'], needs: 'ws: or wss:' },
  tls: { ...ALWAYS, with: ['tls', 'wss', 'custom', 'bare'], needs: 'mqtts:, tls: or wss:' },
  family: SOCKET,
  localAddress: SOCKET,
  lookup: SOCKET,
  transport: ALWAYS,
  connectOptions: ALWAYS,
  followRedirects: {
    ...{ ...MQTT5, with: ['tcp', 'tls', 'ws', 'wss', 'unix', 'custom'] },
    needs: 'MQTT 5, and a `url` whose host a `transport` of your own can be given',
  },
  connectivityCheck: { ...ALWAYS, several: true, needs: 'a list of at least two servers in `url`' },
  networkHints: ALWAYS,
  // CONNECT
  clientId: ALWAYS,
  protocolVersion: ALWAYS,
  username: ALWAYS,
  password: ALWAYS,
  will: ALWAYS,
  properties: MQTT5,
  cleanStart: ALWAYS,
  sessionExpiryInterval: MQTT5,
  session: ALWAYS,
  authenticator: MQTT5,
  keepAlive: ALWAYS,
  receiveMaximum: MQTT5,
  maximumPacketSize: ALWAYS,
  topicAliasMaximum: MQTT5,
  tolerance: ALWAYS,
  profile: ALWAYS,
  // connecting and retrying
  connectTimeout: ALWAYS,
  reconnect: ALWAYS,
  suspendAfterMs: ALWAYS,
  suspendedRetryMs: ALWAYS,
  // requests
  maxInflight: ALWAYS,
  offlineRequests: ALWAYS,
  onSessionLost: ALWAYS,
  ackTimeout: ALWAYS,
  quarantineAfter: ALWAYS,
  renewSubscriptions: ALWAYS,
  filtersPerSubscribe: ALWAYS,
  divert: ALWAYS,
  onConnected: ALWAYS,
  onSettled: ALWAYS,
  // receiving
  gatherReads: ALWAYS,
  acks: ALWAYS,
  packets: ALWAYS,
  maxBufferedPackets: ALWAYS,
  maxBufferedBytes: ALWAYS,
  // end and observation
  until: ALWAYS,
  disconnectReason: MQTT5,
  signal: ALWAYS,
  onWarning: ALWAYS,
  warnAfterMs: ALWAYS,
  recorder: ALWAYS,
  platform: ALWAYS,
}

/** The names of all options. */
export const OPTION_NAMES = Object.keys(RULES) as readonly (keyof EventloopOptions)[]

const KIND_OF: Readonly<Record<Scheme, Kind>> = {
  ...{ 'mqtt:': 'tcp', 'tcp:': 'tcp', 'mqtts:': 'tls', 'tls:': 'tls' },
  ...{ 'ws:': 'ws', 'wss:': 'wss', 'unix:': 'unix' },
}

/**
 * Refuses options that have no effect. With a list of servers, an option needs to have an effect
 * with one of them.
 *
 * @param what `options`: the options of a loop, whose `connectOptions` may name another server for
 *   each attempt. `attempt`: those of one attempt, whose version may have fallen.
 * @throws UsageError that says what the option needs.
 */
export function checkApplicability(options: EventloopOptions, what: 'options' | 'attempt'): void {
  const judgesServer = what === 'attempt' || options.connectOptions === undefined
  const judgesVersion = what === 'options' && options.protocolVersion !== undefined
  const version = options.protocolVersion ?? 5
  const urls = urlsOf(options)
  const kinds = kindsOf(options, urls)
  for (const name of OPTION_NAMES) {
    const { with: fits, versions, several, needs } = RULES[name]
    if (!asks(options[name])) continue
    if (judgesServer && !kinds.some((kind) => fits.includes(kind))) {
      throw without(name, `with ${namesOf(options, urls)}`, needs)
    }
    if (judgesVersion && !versions.includes(version)) {
      throw without(name, `with protocolVersion ${version}`, needs)
    }
    if (what === 'options' && several && urls.length < 2) {
      throw without(name, 'with one server', needs)
    }
  }
}

function without(name: string, where: string, needs: string): UsageError {
  return new UsageError(`${name} has no effect ${where}; it needs ${needs}`)
}

function kindsOf({ transport }: EventloopOptions, urls: readonly (string | URL)[]): Kind[] {
  if (transport !== undefined) return [urls.length === 0 ? 'bare' : 'custom']
  return urls.map((url) => KIND_OF[schemeOf(url) as Scheme])
}

function namesOf({ transport }: EventloopOptions, urls: readonly (string | URL)[]): string {
  if (transport !== undefined) return 'a `transport` of your own'
  return list(new Set(urls.map(schemeOf)))
}

/** Whether a value asks for anything. */
function asks(value: unknown): boolean {
  if (value === undefined || value === false || value === 0) return false
  const prototype = typeof value === 'object' && value !== null && Object.getPrototypeOf(value)
  return prototype !== Object.prototype || Object.keys(value as object).length > 0
}
