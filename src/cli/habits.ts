/**
 * Which option here does what an option of mosquitto_pub, mosquitto_sub or mosquitto_rr does? The
 * table in docs/CLI.md is made of this list and of the definitions of the commands. Tests hold that
 * each name is one of ours, and run both programs for each row.
 */
import { WITHOUT_EQUAL } from './arguments.ts'

type Command = 'pub' | 'sub' | 'rr'

export interface Habit {
  /** As the mosquitto clients write it: a letter, a long name, or both. */
  readonly theirs: string
  /** The commands that have it: `mosquitto_pub` is `pub`. */
  readonly commands: readonly Command[]
  /** The long name of our option; null if there is none. */
  readonly ours: string | null
  /** What is different, or null if nothing is that a script could notice. */
  readonly differs: string | null
}

const ALL: readonly Command[] = ['pub', 'sub', 'rr']
const PUB: readonly Command[] = ['pub']
const SUB: readonly Command[] = ['sub']
const SENDS: readonly Command[] = ['pub', 'rr']
const RECEIVES: readonly Command[] = ['sub', 'rr']

function same(theirs: string, ours: string, commands = ALL): Habit {
  return { theirs, commands, ours, differs: null }
}

function other(theirs: string, ours: string, differs: string, commands = ALL): Habit {
  return { theirs, commands, ours, differs }
}

function none(theirs: string): Habit {
  return { theirs, commands: ALL, ours: null, differs: WITHOUT_EQUAL[theirs] ?? '' }
}

const CONNECTING: readonly Habit[] = [
  same('-h, --host', '--host'),
  other('-p, --port', '--port', '`-p 0` is refused'),
  other(
    '-L',
    '-L',
    'user name and password are percent-decoded, as in every URL; the long name `--url` takes ' +
      'the server alone',
  ),
  same('--unix', '--unix'),
  other('-S', '--srv', 'it needs `-h`; mosquitto of Debian has no `-S`'),
  same('-A', '--local-address'),
  same('--proxy', '--proxy'),
  other('--nodelay', '--nodelay', 'it is always so'),
  same('-u, --username', '--username'),
  same('-P, --pw', '--password'),
  other('-i, --id', '--client-id', 'without it a client identifier is generated, with MQTT 5 too'),
  same('-I, --id-prefix', '--client-id-prefix'),
  same('-c, --disable-clean-session', '--disable-clean-session'),
  other(
    '-x',
    '--session-expiry',
    'it is the time for which the session outlives a lost connection; at an end in order the ' +
      'server keeps the session only with `-c`. Without `-V` it counts, because MQTT 5 is tried ' +
      'first',
  ),
  other('-k, --keepalive', '--keep-alive', 'values below 5 and 0 are allowed too'),
  other(
    '-V, --protocol-version',
    '--mqtt',
    'without it MQTT 5 is tried, and MQTT 3.1.1 if the server refuses it; theirs is 3.1.1 (rr: 5)',
  ),
  other(
    '-D, --property',
    '--property',
    '`publish topic-alias`, `connect authentication-…` and properties of `disconnect`, of ' +
      'acknowledgements and of packets that the command does not send are refused',
  ),
  other('-M', '--max-inflight', 'without it 1,000 publishes may be unacknowledged; theirs 20'),
  other('-d, --debug', '--debug', 'the lines are different, and go to standard error'),
  other('--quiet', '--quiet', 'errors are still written'),
  other('--help', '--help', 'the exit status is 0; theirs is 1'),
  other('--version', '--version', 'it stands before the command: `it-mqtt --version`'),
]

const SECURING: readonly Habit[] = [
  same('--cafile', '--cafile'),
  other('--capath', '--capath', 'all certificates of the directory count, not only rehashed ones'),
  other('--cert', '--cert', 'with `-h` it means TLS even without `--cafile`'),
  same('--key', '--key'),
  other('--keyform', '--keyform', '`engine` is refused'),
  other('--ciphers', '--ciphers', 'with `-h` it means TLS even without `--cafile`'),
  same('--tls-version', '--tls-version'),
  same('--tls-alpn', '--tls-alpn'),
  same('--tls-use-os-certs', '--tls-use-os-certs'),
  none('--tls-engine'),
  none('--tls-engine-kpass-sha1'),
  other('--insecure', '--insecure', 'without trusted certificates given, nothing is verified'),
  same('--psk', '--psk'),
  same('--psk-identity', '--psk-identity'),
  same('--will-topic', '--will-topic'),
  same('--will-payload', '--will-payload'),
  same('--will-qos', '--will-qos'),
  same('--will-retain', '--will-retain'),
]

const SENDING: readonly Habit[] = [
  same('-t, --topic', '--topic'),
  same('-q, --qos', '--qos'),
  same('-m, --message', '--message', SENDS),
  same('-f, --file', '--file', SENDS),
  same('-n, --null-message', '--null-message', SENDS),
  other(
    '-s, --stdin-file',
    '--stdin-file',
    'mosquitto_rr 2.0.11 sends an empty request instead',
    SENDS,
  ),
  other('-l, --stdin-line', '--stdin-line', 'a line may have a byte 0', PUB),
  same('-r, --retain', '--retain', PUB),
  other('--repeat', '--repeat', 'it is refused with `-l`, with which it has no effect', PUB),
  same('--repeat-delay', '--repeat-delay', PUB),
  other(
    '-e',
    '--response-topic',
    'the request has correlation data, and an answer with other correlation data is passed over',
    ['rr'],
  ),
]

const RECEIVING: readonly Habit[] = [
  same('-C', '--count', SUB),
  same('-E', '--exit-after-subscribe', SUB),
  other(
    '-F',
    '--format',
    '`%20x` shows as much of the payload as fits, not a half; times have milliseconds; in `%j` ' +
      'the properties have an order of their own, a user property with several values is an ' +
      'array, and a byte 0 does not end a payload; after `%J` of what is no JSON the status is 1',
    RECEIVES,
  ),
  same('-N', '--without-newline', RECEIVES),
  same('--pretty', '--pretty', RECEIVES),
  same('-R', '--skip-retained', RECEIVES),
  other('--random-filter', '--random-filter', 'mosquitto_sub 2.0.11 writes a tenth of that', SUB),
  other(
    '--remove-retained',
    '--remove-retained',
    'with `-C` it ends once the server has removed them; mosquitto_sub 2.0.11 does not end',
    SUB,
  ),
  other('--retain-as-published', '--retain-as-published', 'it asks for MQTT 5', RECEIVES),
  same('--retained-only', '--retained-only', SUB),
  same('-T, --filter-out', '--filter-out', SUB),
  same('-U, --unsubscribe', '--unsubscribe', SUB),
  same('-v, --verbose', '--verbose', RECEIVES),
  other('-W', '--timeout', 'no will is published at its end, with MQTT 5 either', RECEIVES),
]

export const HABITS: readonly Habit[] = [...CONNECTING, ...SECURING, ...SENDING, ...RECEIVING]

/** What differs and belongs to no option. */
export const OTHER_DIFFERENCES: readonly string[] = [
  'A subscription of which the server refuses any filter ends `sub` with status 1. mosquitto_sub ' +
    'goes on without that filter, and ends with status 0 if it has no other.',
  'A message that the server refuses gives status 1. mosquitto_pub warns, with status 0.',
  'Ctrl-C gives status 130. The mosquitto clients give 0. It sends DISCONNECT with reason code ' +
    '0, so that the server publishes no will; mosquitto_sub asks for its will (0x04) with MQTT 5.',
  'A reader that leaves (`sub | head`) ends a command with status 0 and without a message. A ' +
    'message that it did not take is not acknowledged.',
  'The files `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr` in `$XDG_CONFIG_HOME` are not ' +
    'read. Write their options into `it-mqtt/config.toml`.',
  'An option that a command does not have, or that would have no effect, is refused; so is `-D` ' +
    'for a packet that the command does not send.',
  'An option that takes one value is refused if it is given twice with different values, also ' +
    '`-t` of `pub` and `rr`. The mosquitto clients take the last value, and refuse `-m` only.',
  'A word that belongs to no option is a topic, a filter or a message. The mosquitto clients ' +
    'refuse it.',
  '`sub --no-local` and `--retain-handling` are options of MQTT 5 that mosquitto_sub 2.0 has not.',
]
