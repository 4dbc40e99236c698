/**
 * What does the broker remember: of a session, of a connection, and of everything else?
 *
 * The functions of this room work on these records. Fields are grouped by how long they are kept.
 */
import type { ByteStream } from '../platform/byte-stream.ts'
import type { Platform } from '../platform/machine.ts'
import type { ProtocolVersion, QoS } from '../protocol/facts.ts'
import type { ConnectPacket, PublishPacket } from '../protocol/packets.ts'
import type { BrokerSettings } from './broker-options.ts'
import type { BrokerTimers } from './broker-timers.ts'
import type { ClientDecoder } from './client-decoder.ts'
import type { FaultList } from './fault-list.ts'
import type { PacketLog } from './packet-log.ts'

/** A message that the broker has accepted. */
export interface BrokerMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /** What is forwarded as it came: everything but expiry, alias and identifiers. */
  readonly properties: NonNullable<PublishPacket['properties']>
  /** Its Message Expiry Interval as it was published, in ms, or Infinity. */
  readonly lifeMs: number
  /** The instant at which it expires, or Infinity. */
  readonly expiresAt: number
  /** The client that published it; null for the broker itself. */
  readonly publisher: string | null
}

/** A message on its way to one session. */
export interface OutgoingMessage {
  readonly message: BrokerMessage
  readonly qos: QoS
  readonly retain: boolean
  /** The identifiers of the subscriptions that it matched. */
  readonly identifiers: readonly number[]
  /** The filter of the shared subscription through which it goes, or null. */
  readonly share: string | null
}

/** A message at QoS > 0 that was sent and is not acknowledged for good. */
export interface SentMessage {
  readonly outgoing: OutgoingMessage
  /** Whether a PUBACK or PUBREC is missing, or the PUBCOMP. */
  stage: 'publish' | 'pubrel'
  /** Whether it was sent on the connection of now. */
  isCurrent: boolean
}

export interface BrokerSubscription {
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 if it has none. */
  readonly identifier: number
  /** Whether it is a member of a shared subscription. */
  readonly shared: boolean
}

export interface BrokerWill {
  /** The message; its expiry begins when it is published. */
  readonly message: BrokerMessage
  readonly delayMs: number
}

/** What lives as long as the session. */
export interface BrokerSession {
  readonly clientId: string
  readonly subscriptions: Map<string, BrokerSubscription>
  /** Messages that wait for room, or for the client. */
  queue: OutgoingMessage[]
  /** Messages in flight by packet identifier, in the order in which they were sent first. */
  readonly sent: Map<number, SentMessage>
  /** The identifiers of received QoS 2 messages that were not released. */
  readonly unreleased: Set<number>
  lastIdentifier: number
  /** How long the session lives without a connection, in ms; Infinity for ever. */
  expiryMs: number
  /** The instant at which it ends, or Infinity while it is connected or lives for ever. */
  expiresAt: number
  connection: BrokerConnection | null
  /** The will that waits for its delay. */
  pendingWill: BrokerWill | null
  /** The timers of a session without a connection. */
  expiryTimer: unknown
  willTimer: unknown
}

/** What lives as long as the connection. */
export interface BrokerConnection {
  /** 1 for the first connection to this broker. */
  readonly number: number
  readonly stream: ByteStream
  /** The client's end if it is in memory: a kill destroys both. */
  readonly clientEnd: ByteStream | null
  readonly decoder: ClientDecoder
  /** Whether bytes are still read and written. */
  open: boolean
  /** Packets that are encoded and not written; they leave together. */
  unwritten: Uint8Array[]
  /** 0 before CONNECT. */
  version: 0 | ProtocolVersion
  clientId: string
  connect: ConnectPacket | null
  connectedAt: number
  session: BrokerSession | null
  will: BrokerWill | null
  /** The keep-alive in ms after which the client counts as gone; 0 if it is off. */
  silenceMsMax: number
  silenceTimer: unknown
  lastReceivedAt: number
  readonly aliases: Map<number, string>
  /** Identifiers of publishes from the client that the broker has not answered for good. */
  readonly unanswered: Set<number>
  /** How many entries of the session's `sent` are in flight on this connection. */
  inFlight: number
  /** The client's Receive Maximum, or the broker's own bound if that is smaller. */
  receiveMaximum: number
  maximumPacketSize: number
  /** Takes the connection out of the broker, and publishes its will if it has one. */
  lost: () => void
}

/** A rule of the standard that a client broke. */
export interface ClientViolation {
  /** When it happened, in ms of the broker's clock. */
  readonly at: number
  /** The client identifier; empty before the CONNECT. */
  readonly clientId: string
  /** The reason code with which the broker ended the connection. */
  readonly reasonCode: number
  /** The clause of MQTT 5.0 that was broken. */
  readonly clause: string
  /** What was wrong, for people. */
  readonly message: string
}

/** Everything that one broker has. */
export interface BrokerCore {
  readonly settings: BrokerSettings
  readonly clock: Platform
  readonly timers: BrokerTimers
  readonly sessions: Map<string, BrokerSession>
  readonly connections: Set<BrokerConnection>
  readonly retained: Map<string, BrokerMessage>
  readonly faults: FaultList
  readonly log: PacketLog
  readonly violations: ClientViolation[]
  /** The member of each shared subscription that got the last message, by filter. */
  readonly turns: Map<string, string>
  /** How many connections there have been. */
  connectionCount: number
  /** How many client identifiers were assigned. */
  assignedCount: number
  /** What happens to a dial: accepted, refused with an error, or left open. */
  dials: 'accept' | 'hang' | Error
  /** The reason code with which every CONNECT is refused, or 0. */
  refusesWith: number
  /** Whether the broker neither reads nor answers. */
  hanging: boolean
}
