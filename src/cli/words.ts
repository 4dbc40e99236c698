/**
 * How do the errors of Node and OpenSSL read in words, and the options of a loop as flags? Codes
 * stay, in parentheses, because people search for them.
 */

/** What Node's codes of sockets and name lookups mean. */
const SOCKET_CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by the other side',
  ECONNABORTED: 'connection aborted',
  EPIPE: 'connection closed by the other side',
  ETIMEDOUT: 'no answer in time',
  EHOSTUNREACH: 'no route to the host',
  EHOSTDOWN: 'the host is down',
  ENETUNREACH: 'the network cannot be reached',
  ENETDOWN: 'the network is down',
  EADDRNOTAVAIL: 'this address cannot be used here',
  EADDRINUSE: 'the address is in use',
  EACCES: 'permission denied',
  EPERM: 'not permitted; a firewall may forbid it',
  ENOENT: 'no such socket',
  EMFILE: 'this process has too many files open',
  ENFILE: 'this machine has too many files open',
  ENOTFOUND: 'host not found',
  ENODATA: 'the name has no address',
  EAI_AGAIN: 'the name could not be looked up; is there a network?',
}

/** Node's text: `connect ECONNREFUSED 127.0.0.1:1883 - Local (0.0.0.0:0)`. */
const SOCKET_ERROR = new RegExp(
  String.raw`\b(?:connect|read|write|shutdown|bind|getaddrinfo|query\w+) (E[A-Z_]+)` +
    String.raw`(?: ([^\s;,]*[^\s;,.]))?(?: - Local \([^)]*\))?`,
  'g',
)

/** Node's text for a file without a path: `ENOSPC: no space left on device, write`. */
const FILE_ERROR = /\b(E[A-Z]+): ([^,;]+), [a-z]+(?! ')(?=[.;,]|\s|$)/g

const UNTRUSTED =
  'its issuer is not trusted here; give the certificate of the authority with --cafile'

/** OpenSSL's and Node's texts for a certificate that is not accepted. */
const CERTIFICATES: readonly (readonly [RegExp, string])[] = [
  [/self-signed certificate in certificate chain/, UNTRUSTED],
  [/unable to get (?:local )?issuer certificate/, UNTRUSTED],
  [/unable to verify the first certificate/, UNTRUSTED],
  [/self-signed certificate/, 'it is self-signed; give it with --cafile to trust it'],
  [/certificate has expired/, 'it has expired'],
  [/certificate is not yet valid/, 'it is not valid yet; is the clock of this machine right?'],
  [/certificate revoked/, 'it was revoked'],
  [
    /Hostname\/IP does not match certificate's altnames: (.*?)\.?$/,
    'it is for other hosts: $1; connect to one of them, or give --insecure to accept it',
  ],
]

/** The options of a loop that its messages name, and the flags that set them. */
const FLAGS: Readonly<Record<string, string>> = {
  'tls.cert': '--cert',
  'tls.key': '--key',
  'tls.ca': '--cafile',
  'tls.ciphers': '--ciphers',
  'tls.minVersion': '--tls-version',
  'tls.maxVersion': '--tls-version',
  'tls.ALPNProtocols': '--tls-alpn',
  'tls.pskCallback': '--psk',
}

const TLS_OPTION = /\btls\.\w+/g

/** The other options, which are named only where the command line is at fault. */
const OPTIONS: Readonly<Record<string, string>> = {
  clientId: '-i',
  connectTimeout: '--connect-timeout',
  disconnectTimeout: '--disconnect-timeout',
  keepAlive: '-k',
  localAddress: '-A',
  maxInflight: '-M',
  maximumPacketSize: '-D connect maximum-packet-size',
  receiveMaximum: '-D connect receive-maximum',
  sessionExpiryInterval: '-x',
  topicAliasMaximum: '-D connect topic-alias-maximum',
  'will.topic': '--will-topic',
  'will.payload': '--will-payload',
  'will.properties': '-D will',
}
const OPTION = new RegExp(`(?<![\\w."'])(?:${Object.keys(OPTIONS).join('|')})(?![\\w"'])`, 'g')

/** Words of every day, which are options only at the beginning of a message. */
const FIRST_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^url(?=:| must)/, '--url'],
  [/^username\b/, '-u'],
  [/^password\b/, '-P'],
  [/^transport\b/, '--proxy'],
  [/^(?:withPresence|presence): (prefix|ttl)\b/, '--$1'],
  [/^presence: the space\b/, 'the space'],
  [/^discover: (api|service)\b/, '--$1'],
  [/^forgetListener: process\b/, '--process'],
  [/^inspectFilters: api\b/, '--api'],
  [/^discover: timeoutMs\b/, '--timeout'],
  [/^createBus: (prefix|timeout)\b/, '--$1'],
  [/^schema: (?=")/, '--api '],
  [/^schema: timeout\b/, '--timeout'],
  [/^toAsyncApi: the server main\b/, '--server'],
  [/^toAsyncApi: the address of the server main\b/, '--server'],
  [/^dumpSchema: service\b/, '--service'],
  [/^enter: the data\b/, 'the data of --enter'],
]

/** @returns the text of an error, with what is raw in it in words. */
export function inWords(text: string): string {
  const plain = text
    .replace(SOCKET_ERROR, (raw, code: string, address?: string) => {
      const words = SOCKET_CODES[code]
      if (words === undefined) return raw
      return `${words} (${address === undefined ? code : `${code} ${address}`})`
    })
    .replace(FILE_ERROR, '$2 ($1)')
    .replace(TLS_OPTION, (name) => FLAGS[name] ?? name)
    .replace('--tls-version, --tls-version', '--tls-version')
    .replace(/^forgetListener: (?=the process)(.*)\bor use force\b/s, '$1or use --force')
  const certificate = CERTIFICATES.find(([raw]) => raw.test(plain))
  return certificate === undefined ? plain : plain.replace(...certificate)
}

/** @returns the text of an error in the command line, with flags where a loop has options. */
export function inFlags(text: string): string {
  const named = text
    .replace(OPTION, (name) => OPTIONS[name] ?? name)
    .replace(/\bprotocolVersion:? (\d)/, '-V $1')
    .replace(/^(-D will)\.(\w+)/, (_, packet, name: string) => `${packet} ${kebab(name)}`)
    .replace(/^properties\.(\w+)/, (_, name: string) => `-D connect ${kebab(name)}`)
  return FIRST_WORDS.reduce((all, [raw, words]) => all.replace(raw, words), named)
}

/** @returns `message-expiry-interval` for `messageExpiryInterval`. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** @returns a text that ends like a sentence, so that another may follow. */
export function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** @returns a count with its noun, as people write it: `1,000 requests`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** @returns a length of time, as people say it: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(ms, 100) / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
