/**
 * The rows of the options table: how each option of the mosquitto clients is tried. `t` is a topic
 * of the row and the program alone, and `id` a client identifier.
 */
import { join } from 'node:path'
import { PSK, type World } from './exchanged-world.ts'

export interface Row {
  /** The options that the row is about, as HABITS names them. */
  readonly options: readonly string[]
  readonly command: 'pub' | 'sub' | 'rr'
  readonly args: (world: World, t: string, id: string) => readonly string[]
  readonly input?: string | Buffer
  readonly env?: (world: World) => NodeJS.ProcessEnv
  /** Command lines of the same program that run to their end before. */
  readonly prelude?: (world: World, t: string, id: string) => readonly (readonly string[])[]
  /** Arguments of mosquitto_pub: messages that are published before the program begins. */
  readonly before?: (t: string) => readonly (readonly string[])[]
  /** Arguments of mosquitto_pub: messages that are published once it has subscribed to `filter`. */
  readonly live?: (t: string) => readonly (readonly string[])[]
  /** The filter below `t` whose subscription is waited for; default: `/#`. */
  readonly filter?: string
  /** How many messages an observer of `t/#` gets of it; default 1 for pub, else 0. */
  readonly observed?: number
  /** Whether what is retained below `t` afterwards is compared. */
  readonly retained?: boolean
  /** The part of the broker's line about the connection that is compared. */
  readonly connection?: RegExp
  /** Whether the program is killed once it has subscribed, so that its will is published. */
  readonly killed?: boolean
  /** The statuses of theirs and ours if they differ. */
  readonly status?: readonly [theirs: number, ours: number]
  /** Whether standard output is not compared. */
  readonly unlike?: boolean
}

const at = (world: World, port = world.port) => ['-h', '127.0.0.1', '-p', String(port)]
const message = (t: string) => ['-t', t, '-m', 'a message', '-q', '1']
/** The arguments of mosquitto_pub that publish a retained message. */
const kept = (topic: string, text: string, ...more: string[]) => [
  ...['-t', topic, '-m', text, '-q', '2', '-r', ...more],
]

/** A row that publishes one message through a connection with these options. */
function connecting(options: readonly string[], args: Row['args'], more: Partial<Row> = {}): Row {
  return {
    options,
    command: 'pub',
    args: (world, t, id) => [...args(world, t, id), ...message(t)],
    ...more,
  }
}

const CONNECTING: readonly Row[] = [
  connecting(['-h, --host'], (world) => at(world)),
  connecting(['-p, --port'], (world) => ['--port', String(world.port), '--host', '127.0.0.1']),
  {
    options: ['-L'],
    command: 'pub',
    args: (world, t) => ['-L', `mqtt://127.0.0.1:${world.port}/${t}`, '-m', 'x'],
  },
  connecting(['--unix'], (world) => ['--unix', world.socketPath]),
  connecting(['-A'], (world) => ['-A', '127.0.0.1', ...at(world)]),
  connecting(['--proxy'], (world) => [
    ...['--proxy', `socks5h://u:p@127.0.0.1:${world.proxyPort}`],
    ...at(world),
  ]),
  connecting(['--nodelay'], (world) => ['--nodelay', ...at(world)]),
  connecting(
    ['-u, --username', '-P, --pw'],
    (world, _, id) => [
      ...at(world, world.ports.password),
      ...['-u', 'anna', '--pw', 'secret', '-i', id],
    ],
    { connection: /u'\w+'/ },
  ),
  connecting(
    ['-u, --username', '-P, --pw'],
    (world) => [...at(world, world.ports.password), ...['--username', 'anna', '-P', 'wrong']],
    { observed: 0 },
  ),
  connecting(['-i, --id'], (world, _, id) => [...at(world), '--id', id], { connection: /as \S+/ }),
  connecting(['-I, --id-prefix'], (world, _, id) => [...at(world), '-I', `${id}-`], {
    connection: /as [\w-]+-/,
  }),
  {
    options: ['-c, --disable-clean-session', '-x', '-E'],
    command: 'sub',
    prelude: (world, t, id) => [
      [...at(world), '-V', '5', '-x', '60', '-c', '-i', id, '-q', '1', '-t', `${t}/#`, '-E'],
    ],
    before: (t) => [['-t', `${t}/a`, '-m', 'kept for later', '-q', '1']],
    args: (world, t, id) => [
      ...[...at(world), '-V', '5', '-x', '60', '-c', '-i', id],
      ...['-q', '1', '-t', `${t}/#`, '-C', '1', '-W', '10'],
    ],
  },
  {
    // Without -c the session ends with the command, as the table says.
    options: ['-x'],
    command: 'sub',
    prelude: (world, t, id) => [
      [...at(world), '-V', '5', '-x', '60', '-i', id, '-q', '1', '-t', `${t}/#`, '-E'],
    ],
    before: (t) => [['-t', `${t}/a`, '-m', 'kept for later', '-q', '1']],
    args: (world, t, id) => [
      ...[...at(world), '-V', '5', '-x', '60', '-c', '-i', id],
      ...['-q', '1', '-t', `${t}/#`, '-C', '1', '-W', '2'],
    ],
    unlike: true,
    status: [0, 27],
  },
  connecting(['-c, --disable-clean-session'], (world) => [...at(world), '-c'], {
    observed: 0,
    status: [1, 2],
  }),
  connecting(['-k, --keepalive'], (world, _, id) => [...at(world), '-k', '33', '-i', id], {
    connection: /k\d+/,
  }),
  ...['mqttv5', '5', 'mqttv311', '311', 'mqttv31', '31'].map((version) =>
    connecting(
      ['-V, --protocol-version'],
      (world, _, id) => [...at(world), '-V', version, '-i', id],
      { connection: /p\d/ },
    ),
  ),
  connecting(['-V, --protocol-version'], (world) => [...at(world), '-V', '6'], {
    observed: 0,
    status: [1, 2],
  }),
  connecting(['-D, --property'], (world) => [
    ...[...at(world), '-D', 'publish', 'content-type', 'text/x'],
    ...['--property', 'publish', 'user-property', 'a name', 'a value'],
    ...['-D', 'PUBLISH', 'response-topic', 'answers', '-D', 'connect', 'receive-maximum', '9'],
  ]),
  {
    options: ['-M'],
    command: 'pub',
    args: (world, t) => [...at(world), '-M', '3', '-l', '-q', '1', '-t', t],
    input: 'line\n'.repeat(20),
    observed: 20,
  },
  connecting(['-d, --debug'], (world) => [...at(world), '-d'], { unlike: true }),
  connecting(['--quiet'], (world) => [...at(world), '--quiet']),
  { options: ['--help'], command: 'sub', args: () => ['--help'], status: [1, 0], unlike: true },
]

const secure = (world: World, name: 'tls' | 'mutual' | 'renamed' = 'tls') => [
  ...at(world, world.ports[name]),
  ...['--cafile', world.ca],
]

const SECURING: readonly Row[] = [
  connecting(['--cafile'], (world) => secure(world)),
  connecting(['--capath'], (world) => [
    ...at(world, world.ports.tls),
    ...['--capath', world.caFolder],
  ]),
  connecting(['--cert', '--key', '--keyform'], (world) => [
    ...secure(world, 'mutual'),
    ...['--cert', world.client.cert, '--key', world.client.key, '--keyform', 'pem'],
  ]),
  connecting(['--ciphers', '--tls-version'], (world) => [
    ...[...secure(world), '--tls-version', 'tlsv1.2'],
    ...['--ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ]),
  connecting(['--tls-alpn'], (world) => [...secure(world), '--tls-alpn', 'mqtt']),
  connecting(
    ['--tls-use-os-certs'],
    (world) => [...at(world, world.ports.tls), '--tls-use-os-certs'],
    { env: (world) => ({ SSL_CERT_FILE: world.ca }) },
  ),
  connecting(['--insecure'], (world) => [...secure(world, 'renamed'), '--insecure']),
  connecting(['--psk', '--psk-identity'], (world) => [
    ...at(world, world.ports.psk),
    ...['--psk', PSK, '--psk-identity', 'device'],
  ]),
  {
    options: ['--will-topic', '--will-payload', '--will-qos', '--will-retain'],
    command: 'sub',
    args: (world, t) => [
      ...[...at(world), '-t', `${t}/own/#`, '--will-topic', `${t}/will`],
      ...['--will-payload', 'gone', '--will-qos', '1', '--will-retain'],
    ],
    killed: true,
    filter: '/own/#',
    observed: 1,
    retained: true,
    unlike: true,
  },
]

const SENDING: readonly Row[] = [
  {
    options: ['-t, --topic', '-q, --qos', '-m, --message'],
    command: 'pub',
    args: (world, t) => [...at(world), '--topic', t, '--message', 'grüße', '--qos', '2'],
  },
  {
    options: ['-f, --file'],
    command: 'pub',
    args: (world, t) => [...at(world), '-t', t, '-f', join(world.folder, 'ca', 'index.txt')],
  },
  {
    options: ['-n, --null-message'],
    command: 'pub',
    args: (world, t) => [...at(world), '-t', t, '-n', '-q', '1'],
  },
  {
    options: ['-s, --stdin-file'],
    command: 'pub',
    args: (world, t) => [...at(world), '-t', t, '-s', '-q', '1'],
    input: Buffer.from([0, 255, 10, 128, 10]),
  },
  {
    options: ['-l, --stdin-line'],
    command: 'pub',
    args: (world, t) => [...at(world), '-t', t, '-l', '-q', '1'],
    input: 'one\n\ntwo\r\nthree',
    observed: 4,
  },
  {
    options: ['-r, --retain'],
    command: 'pub',
    args: (world, t) => [...at(world), '-t', `${t}/kept`, '-m', 'x', '-r', '-q', '1'],
    retained: true,
  },
  {
    options: ['--repeat', '--repeat-delay'],
    command: 'pub',
    args: (world, t) => [
      ...[...at(world), '-t', t, '-m', 'again', '-q', '1'],
      ...['--repeat', '3', '--repeat-delay', '0.05'],
    ],
    observed: 3,
  },
  {
    options: ['-m, --message'],
    command: 'pub',
    observed: 0,
    unlike: true,
    status: [1, 2],
    args: (world, t) => [...at(world), ...['-t', t]],
  },
  // What is given twice: mosquitto_pub refuses two messages, and loses one of two topics in silence.
  refused(['-m, --message'], ['-t', 'x', '-m', 'x', '-m', 'y']),
  refused(['-m, --message'], ['-t', 'x', '-m', 'x', '-n']),
  refused(['-t, --topic'], ['-t', 'x', '-t', 'y', '-m', 'x'], 0),
  refused(['-q, --qos'], ['-t', 'x', '-m', 'x', '-q', '1', '-q', '2'], 0),
  refused(
    ['-D, --property'],
    [
      ...['-V', '5', '-t', 'x', '-m', 'x', '-D', 'publish', 'content-type', 'a'],
      ...['-D', 'publish', 'content-type', 'b'],
    ],
  ),
  refused(
    ['-D, --property', '-x'],
    [
      ...['-V', '5', '-t', 'x', '-m', 'x', '-x', '9'],
      ...['-D', 'connect', 'session-expiry-interval', '9'],
    ],
  ),
  refused(
    ['-D, --property'],
    ['-V', '5', '-t', 'x', '-m', 'x', '-D', 'subscribe', 'user-property', 'a', 'b'],
    0,
  ),
  refused(['-c, --disable-clean-session'], ['-c', 'word', '-i', 'me', '-t', 'x', '-m', 'x']),
]

/** A row whose words are refused with status 2; theirs may take them. */
function refused(options: readonly string[], words: readonly string[], theirs = 1): Row {
  return {
    ...{ options, command: 'pub', observed: 0, unlike: true, status: [theirs, 2] },
    args: (world) => [...at(world), ...words],
  }
}

const REQUESTING: readonly Row[] = [
  ['-m', 'a question'],
  ['-n'],
  ['-m', 'a question', '-v'],
  ['-m', 'a question', '-F', '%t:%p', '-N'],
  ['-m', 'a question', '-V', 'mqttv311', '-q', '1'],
].map((words) => ({
  options: ['-e'],
  command: 'rr' as const,
  args: (world: World, t: string) => [
    ...[...at(world), '-t', `${t}/ask`, '-e', `${t}/answer`, '-W', '10', ...words],
  ],
  input: 'from standard input',
  filter: '/answer',
  // The observer sees the question and the answer.
  observed: 2,
  live: (t: string) => [['-t', `${t}/answer`, '-m', 'an answer', '-q', '1']],
}))

const VERSION_5 = ['-V', 'mqttv5']
const RICH = [
  ...['-D', 'publish', 'content-type', 'text/x', '-D', 'publish', 'user-property', 'k', 'v'],
  ...['-D', 'publish', 'user-property', 'l', 'w', '-D', 'publish', 'response-topic', 'rt'],
  ...['-D', 'publish', 'correlation-data', 'cd'],
  ...['-D', 'publish', 'payload-format-indicator', '1'],
]

/** A row that writes retained messages of the topics `t/a`, `t/b` and so on. */
function receiving(
  options: readonly string[],
  words: readonly string[],
  texts: readonly string[],
  more: Partial<Row> = {},
): Row {
  return {
    options,
    command: 'sub',
    before: (t) => texts.map((text, index) => kept(`${t}/${'abc'[index]}`, text)),
    args: (world, t) => [
      ...[...at(world), '-q', '2', '-t', `${t}/#`],
      ...(words.includes('-W') ? [] : ['-W', '10']),
      ...words.map((word) => word.replace('{t}', t)),
    ],
    ...more,
  }
}

const FORMATS: readonly string[] = [
  '%t|%40t|%-40t|%3.3t|%p|%10p|%-10p|%3p|%l|%05l|%-5l|%q|%r|%m',
  '%x|%X|%8.4t|%C|%10C|%R|%D|%P|%F|%3F|%E|%S|%A|%04A',
  '\\e[1m%t\\e[0m\\t\\\\ %% @@ \\a\\v\\r\\0',
  '@Y-@m-@d @a @b @B @A @j @U @W @V @G @y @e @D @F @C @h @%',
]

const RECEIVING: readonly Row[] = [
  receiving(['-C'], ['-C', '2'], ['x', 'x', 'x']),
  ...FORMATS.map((format) =>
    receiving(['-F'], [...VERSION_5, '-C', '1', '-F', format], ['hello'], {
      before: (t) => [[...kept(`${t}/a`, 'hello'), ...VERSION_5, ...RICH]],
    }),
  ),
  receiving(
    ['-D, --property', '-F'],
    [
      ...[...VERSION_5, '-C', '1', '-F', '%S %p'],
      ...['-D', 'subscribe', 'subscription-identifier', '268435455'],
    ],
    ['hello'],
  ),
  receiving(['-F'], [...VERSION_5, '-C', '1', '-F', '%j'], [], {
    before: (t) => [
      [...kept(`${t}/a`, 'a "text"\n'), ...VERSION_5, '-D', 'publish', 'content-type', 'text/x'],
    ],
  }),
  receiving(['-F'], ['-C', '1', '-F', '%J'], ['{"a":[1,"x"],"b":null}']),
  receiving(['-F'], ['-C', '1', '-F', '%q'], ['x']),
  { ...receiving(['-F'], ['-F', '%y'], []), status: [1, 2] },
  receiving(['-N'], ['-N', '-C', '1'], ['no end']),
  receiving(['-N', '-v, --verbose'], ['-N', '-v', '-C', '1'], ['no end']),
  receiving(['--pretty'], ['--pretty', '-F', '%j', '-C', '1'], ['x']),
  receiving(['-v, --verbose'], ['-v', '-C', '1'], ['x y']),
  receiving(['-R'], ['-R', '-v', '-C', '1'], ['old'], {
    live: (t) => [['-t', `${t}/a`, '-m', 'new']],
  }),
  receiving(['-R'], ['-R', '-v', '-C', '1', ...VERSION_5], ['old'], {
    live: (t) => [['-t', `${t}/a`, '-m', 'new']],
  }),
  receiving(['--random-filter'], ['--random-filter', '0'], [], { status: [1, 2] }),
  receiving(['--remove-retained'], ['--remove-retained', '-W', '2'], ['x'], { retained: true }),
  receiving(['--retain-as-published'], [...VERSION_5, '--retain-as-published', '-C', '1'], [], {
    args: (world, t) => [
      ...[...at(world), ...VERSION_5, '--retain-as-published', '-t', `${t}/#`],
      ...['-C', '1', '-W', '10', '-F', '%r %p'],
    ],
    live: (t) => [kept(`${t}/a`, 'x')],
  }),
  receiving(['--retained-only'], ['--retained-only', '-v'], ['old'], {
    live: (t) => [['-t', `${t}/b`, '-m', 'new']],
  }),
  receiving(['-T, --filter-out'], ['-T', '{t}/a', '-C', '1', '-v'], ['out', 'in']),
  receiving(['-U, --unsubscribe'], ['-U', '{t}/b', '-t', '{t}/b', '-C', '1'], [], {
    args: (world, t) => [
      ...[...at(world), '-t', `${t}/a`, '-t', `${t}/b`, '-U', `${t}/b`],
      ...['-C', '1', '-W', '10', '-v'],
    ],
    filter: '/b',
    live: (t) => [
      ['-t', `${t}/b`, '-m', 'not seen'],
      ['-t', `${t}/a`, '-m', 'seen'],
    ],
  }),
  receiving(['-W'], ['-W', '1'], []),
  receiving(['-C'], ['-C', '0'], [], { status: [1, 2] }),
]

export const ROWS: readonly Row[] = [
  ...CONNECTING,
  ...SECURING,
  ...SENDING,
  ...REQUESTING,
  ...RECEIVING,
]
