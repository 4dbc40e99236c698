/**
 * Which option is meant by a name that is none? Names of other clients, and misspelled ones.
 */
import { UsageError } from '../errors.ts'
import { list, nearest } from '../requests/check.ts'
import { OPTION_NAMES } from './applicability.ts'

/** The option that does the same as one of another client. */
const SAME_AS: Readonly<Record<string, string>> = {
  ...{ clean: 'cleanStart', cleanSession: 'cleanStart' },
  ...{ keepAliveInterval: 'keepAlive', keepAliveSeconds: 'keepAlive', heartbeat: 'keepAlive' },
  ...{ timeout: 'connectTimeout', connectionTimeout: 'connectTimeout' },
  ...{ user: 'username', login: 'username', pass: 'password', identifier: 'clientId' },
  ...{ mqttVersion: 'protocolVersion', version: 'protocolVersion', protocolId: 'protocolVersion' },
  ...{ resubscribe: 'renewSubscriptions', subscribeBatchSize: 'filtersPerSubscribe' },
  ...{
    incomingStore: 'session',
    outgoingStore: 'session',
    store: 'session',
    persistence: 'session',
  },
  ...{ authPacket: 'authenticator', lastWill: 'will', willMessage: 'will', lwt: 'will' },
  ...{ createWebsocket: 'transport', streamBuilder: 'transport', agent: 'transport' },
  ...{ socksProxy: 'transport', proxy: 'transport', stream: 'transport', socket: 'transport' },
  ...{ inflight: 'maxInflight', maxInflightMessages: 'maxInflight' },
  ...{ responseTimeout: 'ackTimeout', sessionExpiry: 'sessionExpiryInterval' },
  ...{ maxPacketSize: 'maximumPacketSize', log: 'onWarning', abortSignal: 'signal' },
}

/** What to write in the place of an option of another client. */
const INSTEAD: Readonly<Record<string, string>> = {
  ...those("it is a part of the URL: url: 'mqtt://host:1883'", [
    ...[
      'host',
      'hostname',
      'port',
      'protocol',
      'servers',
      'hosts',
      'path',
      'href',
      'uri',
      'useSSL',
    ],
    ...['brokerUrl', 'broker', 'server', 'protocols'],
  ]),
  ...those('did you mean reconnect: { minMs, maxMs }?', [
    ...['reconnectPeriod', 'reconnectInterval', 'reconnectDelay', 'reconnectTimeout'],
    ...['minReconnectDelay', 'maxReconnectDelay'],
  ]),
  ...those('did you mean reconnect: { retryable }?', [
    ...['reconnectOnConnackError', 'maxReconnectAttempts', 'maxReconnectTimes'],
  ]),
  ...those('did you mean headers and tls?', ['wsOptions', 'websocketOptions']),
  ...those('did you mean connectOptions, which may return another url?', ['transformWsUrl']),
  ...those("did you mean acks: 'manual'?", ['customHandleAcks', 'manualAcks', 'autoAck']),
  ...those('a loop takes requests from your stream when it can send them; leave it out', [
    ...['queueQoSZero', 'queueLimit', 'writeCache'],
  ]),
  ...those('topic aliases are assigned automatically; leave it out', [
    ...['autoUseTopicAlias', 'autoAssignTopicAlias'],
  ]),
  ...those('a loop connects at its first next(); leave it out', ['manualConnect', 'lazyConnect']),
  ...those('pings are sent when keepAlive needs them; leave it out', [
    ...['reschedulePings', 'reschedulePing', 'timerVariant'],
  ]),
  ...those('packet identifiers are assigned by the loop; leave it out', ['messageIdProvider']),
  ...those('messages are what the loop yields; leave it out', ['onMessage', 'onPacket']),
}

function those(advice: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, advice]))
}

/** Names of Node's options for TLS, which other clients take beside their own. */
const TLS_NAMES: readonly string[] = [
  ...['ca', 'cert', 'key', 'pfx', 'passphrase', 'ciphers', 'sigalgs', 'crl', 'dhparam'],
  ...['minVersion', 'maxVersion', 'secureProtocol', 'secureOptions', 'secureContext'],
  ...['ecdhCurve', 'rejectUnauthorized', 'checkServerIdentity', 'servername', 'session'],
  ...['ALPNProtocols', 'minDHSize', 'honorCipherOrder', 'pskCallback', 'requestOCSP'],
  ...['privateKeyEngine', 'privateKeyIdentifier', 'clientCertEngine', 'enableTrace'],
  ...['sessionIdContext', 'ticketKeys', 'sessionTimeout', 'highWaterMark'],
  ...['allowPartialTrustChain'],
]

/** The options of ours that stand in the place of fields of `tls.connect`. */
const IN_PLACE_OF: Readonly<Record<string, string>> = {
  ...{ host: 'url', port: 'url', path: 'url', socket: 'transport', timeout: 'connectTimeout' },
  ...{ lookup: 'lookup', family: 'family', localAddress: 'localAddress', signal: 'signal' },
}

/** What other programs call fields of `tls.connect`. */
const TLS_SAME_AS: Readonly<Record<string, string>> = {
  ...{ cafile: 'ca', cacert: 'ca', capath: 'ca', certificate: 'cert', certfile: 'cert' },
  ...{ clientcert: 'cert', privatekey: 'key', keyfile: 'key', clientkey: 'key' },
  ...{ password: 'passphrase', keypassphrase: 'passphrase', keypassword: 'passphrase' },
  ...{ insecure: 'rejectUnauthorized', verify: 'rejectUnauthorized' },
  ...{ strictssl: 'rejectUnauthorized', sni: 'servername', hostname: 'servername' },
  ...{ alpn: 'ALPNProtocols', ciphersuites: 'ciphers', psk: 'pskCallback' },
}

const FOREIGN: ReadonlyMap<string, string> = new Map([
  ...wordsBy(SAME_AS, (name) => `did you mean ${name}?`),
  ...wordsBy(INSTEAD, (advice) => advice),
])

function wordsBy(
  table: Readonly<Record<string, string>>,
  words: (value: string) => string,
): [string, string][] {
  return Object.entries(table).map(([name, value]) => [name.toLowerCase(), words(value)])
}

/** @returns what a name may mean that is no option, to be appended to a message; or null. */
export function hintFor(name: string): string | null {
  const near = nearest(name, OPTION_NAMES)
  if (near !== null && near.toLowerCase() === name.toLowerCase()) return `; did you mean ${near}?`
  const tls = TLS_NAMES.find((one) => one.toLowerCase() === name.toLowerCase())
  const foreign = FOREIGN.get(name.toLowerCase())
  if (foreign !== undefined) return `; ${foreign}`
  if (tls !== undefined) return `; did you mean tls: { ${tls} }?`
  return near === null ? null : `; did you mean ${near}?`
}

/**
 * A name that nobody knows may be one of a later Node.
 * @param custom whether a transport of the user is given `tls`, and may have fields of its own.
 * @returns what is wrong with the name of a field of `tls`, or null.
 */
export function tlsFieldProblem(name: string, custom: boolean): string | null {
  if (TLS_NAMES.includes(name)) return null
  const option = custom ? undefined : IN_PLACE_OF[name]
  if (option !== undefined) return `tls.${name}: give it as the option ${option}`
  const foreign = custom ? undefined : TLS_SAME_AS[name.replace(/[-_]/g, '').toLowerCase()]
  const meant = foreign ?? nearest(name, TLS_NAMES)
  return meant === null ? null : `tls has no field "${name}"; did you mean ${meant}?`
}

/** @returns the error for a field that is no option, or none that may be given here. */
export function noOption(where: string, field: string, allowed: readonly string[]): UsageError {
  const isOption = OPTION_NAMES.some((name) => name === field)
  const hint = isOption ? '; it is an option of the loop' : hintFor(field)
  const rest = hint ?? `; allowed: ${list(allowed)}`
  return new UsageError(`${where} has no field "${field}"${rest}`)
}
