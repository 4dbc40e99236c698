/**
 * Which options are there? Public types: each with its unit, bounds, default and clause. resolve.ts
 * validates them. An option that is undefined counts as left out.
 */

import type { Lookup, TlsOptions } from '#runtime'
import type { WarningCode } from '../errors.ts'
import type { HandshakeHeaders, OpenTransport } from '../platform/byte-stream.ts'
import type { Platform } from '../platform/machine.ts'
import type { Tolerance } from '../protocol/deviations.ts'
import type { ProtocolVersion, QoS } from '../protocol/facts.ts'
import type { Session, SessionStore } from '../requests/session.ts'
import type {
  Base64,
  ConnackPacket,
  ConnectionFailure,
  ConnectProperties,
  Outcome,
  ReconnectOptions,
  ReconnectWhen,
  Request,
  WillProperties,
} from '../requests/vocabulary.ts'
import type { Authenticator } from './authenticator-options.ts'
import type { BrokerProfile } from './broker-profile.ts'
import type { DivertOptions } from './divert-options.ts'
import type { RecorderOptions } from './recorder-options.ts'

/** The options of `eventloop()` and `connect()`. */
export interface EventloopOptions {
  // ------------------------------------------------------------------------------------ the server

  /**
   * The server, or a list of servers. Schemes: `mqtt:` and `tcp:` (port 1883), `mqtts:` and `tls:`
   * (port 8883), `ws:` (port 80), `wss:` (port 443), `unix:/path`. A URL may have a user name and a
   * password. The first of a list is the primary; the others are tried in random order if another
   * server may help, and the next round begins with the primary (T4, a list of servers). Required
   * unless `transport` is given.
   */
  readonly url?: string | URL | readonly (string | URL)[] | undefined
  /** Headers of the HTTP request that opens a `ws:` or `wss:` transport. Default: none. */
  readonly headers?: HandshakeHeaders | undefined
  /**
   * Options for Node's `tls.connect`, such as `ca`, `cert`, `key` and `servername`, for `mqtts:`,
   * `tls:` and `wss:`. The server's certificate is verified unless `rejectUnauthorized` is false.
   * Settings that cannot work, such as a key of another certificate, are a `UsageError`.
   */
  readonly tls?: TlsOptions | undefined
  /** The version of IP, 4 or 6. Default: both are tried. For TCP, TLS and WebSocket. */
  readonly family?: 4 | 6 | undefined
  /**
   * The address of this machine from which the connection is made. Default: the system chooses.
   * Only addresses of the server that have the same version of IP are used. For TCP, TLS and
   * WebSocket.
   */
  readonly localAddress?: string | undefined
  /**
   * Finds the addresses of the server's name, as Node's `dns.lookup` does, which is the default.
   * For TCP, TLS and WebSocket.
   */
  readonly lookup?: Lookup | undefined
  /**
   * A function that opens the transport instead of this package. Default: the transport that `url`
   * names.
   */
  readonly transport?: OpenTransport | undefined
  /**
   * Awaited before each attempt; what it returns replaces these options for that attempt. If the
   * server refuses a credential, it is called once more before the loop gives up (T6, options for
   * each attempt, and authentication).
   */
  readonly connectOptions?: ConnectOptions | undefined
  /**
   * Whether to follow a server that names another one (reason codes 0x9C, 0x9D). The other server
   * is given the same credentials. Default false. (4.13)
   */
  readonly followRedirects?: boolean | undefined
  /**
   * A function that says whether this client has a network. It is called before another server of
   * the list is tried. Default: the client is assumed to be online.
   */
  readonly connectivityCheck?: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  /**
   * Hints about the network: `online` connects immediately, `offline` drops the connection
   * immediately (T5, network hints). The loop goes on when the iterable ends; if the iterable
   * throws, the loop ends with that error. `browserHints()` makes those of a page.
   */
  readonly networkHints?: AsyncIterable<'online' | 'offline'> | undefined

  // --------------------------------------------------------------------------------------- CONNECT

  /**
   * The client identifier, at most 65,535 bytes of UTF-8. An empty one lets the server choose.
   * Default: generated, at most 23 characters; that of `session` if one is given. The session of a
   * generated one ends on the server with an orderly end of the loop. [MQTT-3.1.3-5]
   */
  readonly clientId?: string | undefined
  /**
   * 5 (MQTT 5), 4 (MQTT 3.1.1) or 3 (MQTT 3.1). Default: 5, and 4 if the server does not support 5.
   * If this option is given, no other version is tried.
   */
  readonly protocolVersion?: 5 | 4 | 3 | undefined
  /** At most 65,535 bytes of UTF-8. Default: that of `url`. */
  readonly username?: string | undefined
  /**
   * At most 65,535 bytes. Default: that of `url`. In MQTT 3 it needs a user name [MQTT-3.1.2-22].
   */
  readonly password?: string | Uint8Array | undefined
  /** The message that the server publishes if the connection is lost. Default: none. (3.1.2.5) */
  readonly will?: WillOptions | undefined
  /**
   * Properties of the CONNECT packet, except those that have an option of their own. MQTT 5.
   * Default: none. (3.1.2.11)
   */
  readonly properties?: ConnectProperties | undefined
  /**
   * Whether a new session begins. `true`: at the first connection; later ones ask to resume it.
   * `false`: never; without a saved session, the one that the server has is adopted. `always`: at
   * every connection, with servers that say that they keep sessions and do not. In MQTT 3, true
   * means always. Default true; false if `session` is given, which is resumed unless this is
   * `always`. (3.1.2.4)
   */
  readonly cleanStart?: boolean | 'always' | undefined
  /**
   * How many seconds the server keeps the session after the end of a connection, 0 to
   * 4,294,967,295. Default 300; 86,400 if `cleanStart` is false or `session` is given; 0 if
   * `cleanStart` is `always`. MQTT 5. (3.1.2.11.2)
   */
  readonly sessionExpiryInterval?: number | undefined
  /**
   * The session to continue: the `session` of an earlier loop, a session store, or `adopt` for the
   * session that the server holds, whatever it is, as with `cleanStart: false`. A store that holds
   * no session yet adopts that of the server, too. Default: none. (4.1)
   */
  readonly session?: Session | SessionStore | 'adopt' | undefined
  /** Enhanced authentication, at connect and again later. MQTT 5. Default: none. (4.12) */
  readonly authenticator?: Authenticator | undefined
  /**
   * The longest time in seconds without a packet, 0 to 65,535; 0 turns the keep-alive off. Default
   * 60; 25 over WebSocket, because many load balancers cut idle connections after 30 s.
   * [MQTT-3.1.2-20]
   */
  readonly keepAlive?: number | undefined
  /**
   * How many publishes at QoS 1 and 2 the server may send before they are acknowledged, 1 to
   * 65,535. Default 1,024. (3.1.2.11.3)
   */
  readonly receiveMaximum?: number | undefined
  /**
   * The largest packet to accept, in bytes, 1 to 268,435,455. Default 268,435,455. [MQTT-3.1.2-24]
   */
  readonly maximumPacketSize?: number | undefined
  /** How many topic aliases the server may use, 0 to 65,535. Default 0. [MQTT-3.1.2-26] */
  readonly topicAliasMaximum?: number | undefined

  /**
   * What is done about a server that breaks a rule of the standard. `field`: where the meaning of
   * what it sent is clear and nothing is at risk, the connection goes on, with the warning
   * `SERVER_DEVIATION` once for each kind and connection; else the connection is closed. `strict`:
   * it is always closed, in MQTT 5 with a DISCONNECT that says why. Default `field`. (I1,
   * malformed input gets the answer of the standard) (4.13, 3.1.1: 4.8)
   */
  readonly tolerance?: Tolerance | undefined

  /**
   * What is known about the server by measurement (`it-mqtt/doctor`): the default of
   * `filtersPerSubscribe`, and limits beside those of the CONNACK. Default: nothing.
   */
  readonly profile?: BrokerProfile | undefined

  // ----------------------------------------------------------------------- connecting and retrying

  /**
   * How long an attempt may take, in ms, 1 to 3,600,000, from the name lookup to the CONNACK.
   * Default 30,000. (T2, the connect timeout covers the way to the CONNACK)
   */
  readonly connectTimeout?: number | undefined
  /** When the loop connects again, and after which delays. Default `after-first-success`. */
  readonly reconnect?: ReconnectWhen | ReconnectOptions | undefined
  /**
   * After how many ms without a connection the loop is `suspended`, 0 to 86,400,000. Default
   * 120,000. (T3, the connection follows the lifecycle table)
   */
  readonly suspendAfterMs?: number | undefined
  /**
   * How long a suspended loop waits between attempts, in ms, 1 to 86,400,000; a random part of up
   * to 50 % is added or subtracted. Default 30,000.
   */
  readonly suspendedRetryMs?: number | undefined

  // -------------------------------------------------------------------------------------- requests

  /**
   * How many publishes at QoS 1 and 2 may be in flight, 1 to 65,000. The server may allow fewer.
   * Default 1,000. On MQTT 3.1.1 a server cannot say how many it takes, and mosquitto loses the
   * messages at QoS 2 beyond 20: there the default is 20 while one of them is at QoS 2. (D4, the
   * window is never exceeded)
   */
  readonly maxInflight?: number | undefined
  /**
   * How many requests are taken from the stream while there is no connection, 0 (none) to 65,000.
   * Each 16 KiB of a request count as one more. From then on its `signal` is heard and its Message
   * Expiry Interval counts; both are unknown for what is still in the stream. Requests that were
   * taken are held: `session.held` lists them if the loop ends. Default 100: enough for commands
   * with a time limit, and so little that a file or a generator is not drained into memory. (D4,
   * the window is never exceeded)
   */
  readonly offlineRequests?: number | undefined
  /**
   * What happens to publishes in flight if the server lost the session: they are sent again as new
   * ones, or fail with `SESSION_LOST`. Default `republish`. (D5, a lost session is rebuilt in
   * order)
   */
  readonly onSessionLost?: 'republish' | 'fail' | undefined
  /**
   * What happens if an acknowledgement does not arrive within `afterMs` ms, 1 to 86,400,000: the
   * loop reconnects, or the request fails with `ACK_TIMEOUT`. Default: the loop waits.
   */
  readonly ackTimeout?:
    | {
        /** How long an acknowledgement may take, in ms, 1 to 86,400,000. */
        readonly afterMs: number
        /** Whether the loop reconnects or the request fails. */
        readonly then?: 'reconnect' | 'fail' | undefined
      }
    | undefined
  /**
   * After how many losses of the connection that can only be due to one request, or to one filter
   * that is renewed, it is given up: 0 (never) to 1,000. Default 3. It makes no difference how the
   * server closed. (D6, one bad request never stalls the others)
   */
  readonly quarantineAfter?: number | undefined
  /**
   * When subscriptions are renewed after a CONNACK. `lost`: after Session Present 0. `unsure`: also
   * where a resumed session may have lost them, in a way that repeats no retained messages where
   * the server kept them: shared ones always, the others in MQTT 5 until the server was seen to
   * keep a session, and in MQTT 3 if it delivers nothing for 10 s. `always`: after each CONNACK; in
   * MQTT 3 retained messages come again. Default `unsure`. (D5, a lost session is rebuilt in order)
   */
  readonly renewSubscriptions?: 'lost' | 'unsure' | 'always' | undefined
  /**
   * The most filters in a SUBSCRIBE, 1 to 65,535. A SUBSCRIBE with more is sent in parts, which
   * have one outcome and one SUBACK. Default: that of `profile`, else as many as the requests have;
   * a renewal has at most as many as the largest that was answered. If the server closes the
   * connection while a SUBSCRIBE is open, later ones carry half as many. (3.8)
   */
  readonly filtersPerSubscribe?: number | undefined
  /**
   * Gives new publishes to a function of the user while there is no healthy connection. Default:
   * they are held.
   */
  readonly divert?: DivertOptions | undefined
  /**
   * Returns requests to send after each good CONNACK: after the renewal of subscriptions, before
   * all others. `attempt` is the number of the attempt that has succeeded,
   * `state.connection.attempt`. Default: none.
   */
  readonly onConnected?:
    | ((connack: ConnackPacket, attempt: number) => readonly Request[])
    | undefined
  /**
   * A function that is called with the outcome of each request, after the `settled` of its stream.
   */
  readonly onSettled?: ((request: Request, outcome: Outcome) => void) | undefined

  // ------------------------------------------------------------------------------------- receiving

  /**
   * Whether reading may rest for at most 8 ms after a small read while 256 publishes or more are in
   * flight or 32 KiB or more wait to be written, so that the server's small writes are joined. How
   * long it rests, if at all, follows from measuring what comes faster. It holds for TCP and Unix
   * sockets that the loop opens itself. Default true.
   */
  readonly gatherReads?: boolean | undefined
  /**
   * When a message at QoS 1 or 2 is acknowledged: `pull`, when the consumer asks for the next
   * packet; `receipt`, as it arrives; `manual`, when `loop.ack(packet)` is called. Default `pull`.
   * (R1, a message is acknowledged when it is handled)
   */
  readonly acks?: 'pull' | 'receipt' | 'manual' | undefined
  /**
   * Which packets `next()` yields: `all`, or `messages`, which is PUBLISH, a good CONNACK, and
   * SUBACK if it answers the renewal of subscriptions. This saves the work for all others. Outcomes
   * say how requests ended, and `transitions()` what became of the connection; a packet that an
   * outcome carries has no `request` then. A refused request whose outcome is reported to nobody
   * ends the loop with its error (D6, one bad request never stalls the others). `run` needs all
   * packets and ignores this. Default `all`.
   */
  readonly packets?: 'all' | 'messages' | undefined
  /**
   * How many packets may be received and not yet pulled, 1 to 1,000,000. Beyond that reading from
   * the transport is paused. Default `receiveMaximum` + 1,024. If a request waits for its answer
   * and the consumer took no packet for 1,000 ms, only `maxBufferedBytes` counts, because the
   * consumer may be waiting for that answer. (R3, a slow consumer is normal)
   */
  readonly maxBufferedPackets?: number | undefined
  /**
   * How many bytes may be received and not yet pulled, at least 1. Beyond that reading from the
   * transport is paused. Default 16,777,216 (16 MiB).
   */
  readonly maxBufferedBytes?: number | undefined

  // ------------------------------------------------------------------------------------------- end

  /**
   * When the loop ends by itself: `idle`, when nothing more can happen; `settled`, when all
   * requests are settled; `closed`, never. Default `idle`. (E1, when the loop ends by itself)
   */
  readonly until?: 'idle' | 'settled' | 'closed' | undefined
  /**
   * The reason code of the DISCONNECT that ends the loop: 0, or 4 to have the will published. MQTT
   * 5. Default 0. (3.14.2.1)
   */
  readonly disconnectReason?: 0 | 4 | undefined
  /**
   * If this signal is aborted, the loop ends as with `shutdown`, and `next()` rejects with the
   * reason of the signal.
   */
  readonly signal?: AbortSignal | undefined

  // ----------------------------------------------------------------------------------- observation

  /**
   * A function that is called with each warning. The loop goes on after a warning. Default: the
   * first warning of each code is reported with `process.emitWarning`, as a `MqttWarning`.
   */
  readonly onWarning?: ((warning: Warning) => void) | undefined
  /**
   * After how many ms a stalled consumer or a forgotten acknowledgement is reported as a warning, 1
   * to 86,400,000. Default 30,000.
   */
  readonly warnAfterMs?: number | undefined
  /**
   * Keeps the last inputs of the reducers, so that `loop.recording()` shows what led to an error.
   * Default: none are kept.
   */
  readonly recorder?: RecorderOptions | undefined
  /** Clock, timers and random numbers, for tests. Default: those of the machine. */
  readonly platform?: Platform | undefined
}

/** A message that the server publishes if the connection is lost. */
export interface WillOptions {
  /** 1 to 65,535 bytes of UTF-8, without wildcards. */
  readonly topic: string
  /** At most 65,535 bytes. Default: empty. */
  readonly payload?: string | Uint8Array | Base64 | undefined
  /** Default 0. */
  readonly qos?: QoS | undefined
  /** Default false. */
  readonly retain?: boolean | undefined
  /** MQTT 5. */
  readonly properties?: WillProperties | undefined
}

/** The options that `connectOptions` may replace. */
export type AttemptOptions = Pick<
  EventloopOptions,
  | 'url'
  | 'headers'
  | 'tls'
  | 'transport'
  | 'family'
  | 'localAddress'
  | 'lookup'
  | 'username'
  | 'password'
  | 'clientId'
  | 'will'
>

/**
 * A function that chooses options for one attempt; they replace the options of the loop.
 * @param attempt counts the attempts since the last good connection, from 1.
 * @param lastClose says why there is no connection, or is null before the first one.
 * @param signal is aborted when the attempt is given up, for example after `connectTimeout`.
 * @param number counts all attempts of this loop, from 1; it is the `attempt` of
 *   `state.connection` and of `onConnected`, so that a will can name its connection.
 * @param protocolVersion is the version of this attempt: a will has properties in MQTT 5 only.
 */
export type ConnectOptions = (
  attempt: number,
  lastClose: ConnectionFailure | null,
  signal: AbortSignal,
  number: number,
  protocolVersion: ProtocolVersion,
) => AttemptOptions | undefined | Promise<AttemptOptions | undefined>

/** A problem after which the loop goes on. */
export interface Warning {
  /** The code of the warning: docs/ERRORS.md lists them. */
  readonly code: WarningCode
  /** The message says what is wrong, where, and what to do. */
  readonly message: string
  /** With `SERVER_DEVIATION`: the kind, as docs/TOLERANCE.md lists them. */
  readonly deviation?: string
  /** What a handler has thrown, if it is about that. */
  readonly cause?: unknown
}
