/**
 * Which options do the reducers need, and in which units?
 *
 * The options room makes a `Config` of the user's options once, when the loop is made. Nothing in
 * it changes afterwards.
 */
import type { Tolerance } from './deviations.ts'
import type { ProtocolVersion } from './facts.ts'

/** With `none` nobody can acknowledge a message, as in a `run` without `onPacket`. */
type Acks = 'pull' | 'receipt' | 'manual' | 'none'
type Until = 'idle' | 'settled' | 'closed'

export interface ReconnectPolicy {
  readonly when: 'always' | 'after-first-success' | 'never'
  readonly minMs: number
  readonly maxMs: number
  readonly stableMs: number
}

interface KnownLimits {
  /** The largest packet that the server takes, in bytes. */
  readonly maximumPacketSize: number
  readonly sharedSubscriptionAvailable: boolean
}

/** The user's options, resolved to plain data. */
export interface Config {
  readonly protocolVersion: ProtocolVersion
  /** Whether version 4 is tried after the server refused version 5. */
  readonly versionMayFall: boolean
  /** Whether a new session begins: at the first connection, never, or at every connection. */
  readonly cleanStart: boolean | 'always'
  /** Whether a session store is used. */
  readonly store: boolean
  /** Whether the user gave a session, so that the first connection resumes it. */
  readonly resumes: boolean
  /**
   * Whether a session of the server that this process does not know is adopted. Otherwise it ends
   * the loop, as MQTT 5 demands.
   */
  readonly adopt: boolean
  /**
   * Whether no other loop can have this client identifier, so that an orderly end also ends the
   * session on the server.
   */
  readonly generatedClientId: boolean
  /** When subscriptions are renewed. */
  readonly renewSubscriptions: 'lost' | 'unsure' | 'always'
  /** The most filters in a SUBSCRIBE, or null: as many as the user sends. */
  readonly filtersPerSubscribe: number | null
  /** Limits that were measured, which a server of MQTT 3 cannot announce. */
  readonly knownLimits: KnownLimits
  /** Session Expiry Interval in seconds. */
  readonly sessionExpiryInterval: number
  /** Keep Alive in seconds; 0 turns it off. */
  readonly keepAlive: number
  readonly connectTimeoutMs: number
  readonly reconnect: ReconnectPolicy
  readonly maxInflight: number
  /** The same on MQTT 3.1.1, while at least one of them is at QoS 2. */
  readonly maxInflightQos2: number
  /** How many requests may be taken while there is no connection. */
  readonly offlineRequests: number
  readonly receiveMaximum: number
  readonly maxBufferedPackets: number
  readonly maxBufferedBytes: number
  /** The size limit for packets from the server, in bytes. */
  readonly maximumPacketSize: number
  /** Whether deviations of the server are lived with, or close the connection. */
  readonly tolerance: Tolerance
  readonly topicAliasMaximum: number
  readonly acks: Acks
  /** Whether the consumer is given every packet, or application messages only. */
  readonly packets: 'all' | 'messages'
  /** Whether reading may rest while much is outstanding. */
  readonly gatherReads: boolean
  readonly onSessionLost: 'republish' | 'fail'
  readonly ackTimeout: { readonly afterMs: number; readonly then: 'reconnect' | 'fail' } | null
  readonly quarantineAfter: number
  readonly until: Until
  /** Whether `onConnected` was given, so that the backlog waits for the births. */
  readonly hasBirths: boolean
  readonly disconnectReason: number
  readonly authenticationMethod: string | null
  /**
   * Who may begin an authentication after the CONNACK. `none` means that there is no authenticator.
   */
  readonly authenticator: 'none' | 'client' | 'either'
  readonly requestProblemInformation: boolean
  readonly servers: ServersConfig
  /** When new publishes are diverted, and how many may be diverted at the same time. */
  readonly divert: { readonly afterMs: number; readonly concurrency: number } | null
  /** How long a consumer may stall, or an acknowledgement be missing, before the user is warned. */
  readonly warnAfterMs: number
}

/**
 * Settings for choosing the next server and for retrying. Loops with default settings share one
 * object.
 */
interface ServersConfig {
  /** The number of servers in the list. The first is the primary. */
  readonly hosts: number
  /** Whether `connectivityCheck` was given, which is asked before another server is tried. */
  readonly checksConnectivity: boolean
  readonly followRedirects: boolean
  /** Whether `connectOptions` was given, which may provide new credentials for each attempt. */
  readonly renewsCredentials: boolean
  /** The loop is suspended after it had no connection for this long. */
  readonly suspendAfterMs: number
  /**
   * The mean delay between two attempts while the loop is suspended. The delay varies by ± 50 %.
   */
  readonly suspendedRetryMs: number
}
