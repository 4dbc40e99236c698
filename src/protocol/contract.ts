/**
 * What goes into the reducers, and what comes out?
 *
 * step(state, input or inputs) → { state, effects }
 *
 * Rules of this room. There is no clock, no randomness, no promise and no Node API: the time (`at`,
 * in ms, monotonic) and random numbers (0 ≤ r < 1) arrive in the input. The state is plain data
 * (`state.ts`), as are inputs and effects. A request is known by its handle, a number that the loop
 * chooses and does not use again before the reducers released it.
 */

import type { WarningCode } from '../errors.ts'
import type { ReconnectPolicy } from './config.ts'
import type { DeviationKind, DeviationNote } from './deviations.ts'
import type {
  AckPacket,
  AttemptFacts,
  Failure,
  PacketName,
  Properties,
  ProtocolVersion,
  QoS,
  ReceivedConnack,
  RequestFacts,
  ServerPacket,
  SubscribeFacts,
  UnsubscribeFacts,
} from './facts.ts'
import type { FirstOpen } from './progress-state.ts'
import type { ConnectionKind, State } from './state.ts'

export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
}

// ------------------------------------------------------------------------------------------ inputs

/** Something that happened. `at` is its instant, in ms on a clock that only goes forward. */
export type Input = { readonly at: number } & (
  | TransportInput
  | RequestInput
  | ConsumerInput
  | ControlInput
  | AuthenticationInput
  | NetworkInput
  | TimeInput
)

export type InputType = Input['type']

type TransportInput =
  /**
   * The transport is open. `attempt` holds the options that differ for this attempt, or null if
   * none do.
   */
  | { readonly type: 'opened'; readonly attempt: AttemptFacts | null }
  /** Bytes were received, and these packets are complete. */
  | { readonly type: 'received'; readonly packets: readonly ServerPacket[] }
  /** What was received deviates from the standard and is lived with. */
  | { readonly type: 'deviated'; readonly deviations: readonly DeviationNote[] }
  /** The decoder refused what was received. */
  | {
      readonly type: 'malformed'
      readonly reasonCode: number
      readonly clause: string
      readonly message: string
      /** `NOT_MQTT`: the bytes are those of another protocol. Default `PROTOCOL`. */
      readonly code?: 'PROTOCOL' | 'NOT_MQTT'
      /** What is known of the packet. */
      readonly packet?: PacketName
    }
  /** The kernel took a write with this many QoS 0 publishes. */
  | {
      readonly type: 'written'
      readonly publishes: number
      /** Whether a PINGREQ was in it. */
      readonly ping: boolean
      /** Whether more bytes are waiting for the kernel. */
      readonly more: boolean
    }
  /** Packets that waited for a commit were handed to the transport. */
  | {
      readonly type: 'released'
      /** The packet identifier of the last PUBLISH or PUBREL among them. */
      readonly messageId?: number
    }
  /** The transport now holds as many unsent bytes as it may, or no longer does. */
  | { readonly type: 'congestion'; readonly congested: boolean }
  /** The transport is closing and takes nothing more. Bytes it received before may still follow. */
  | { readonly type: 'unwritable' }
  /** The transport is closed, or could not be opened. */
  | {
      readonly type: 'lost'
      /** Spaces the next attempt. */
      readonly random: number
      readonly failure: Failure
      readonly byPeer: boolean
      /** The answer of the user's `retryable`, or null if there is none. */
      readonly retryable: boolean | null
    }

type RequestInput =
  /** Requests were taken. With `hold` they are kept for a later loop. */
  | {
      readonly type: 'requests'
      readonly requests: readonly RequestFacts[]
      readonly hold: boolean
    }
  /** This many requests were refused before they got a handle, and have their outcome already. */
  | { readonly type: 'refused'; readonly count: number }
  /** The answer to the effect `births`. */
  | { readonly type: 'births'; readonly requests: readonly RequestFacts[] }
  | { readonly type: 'requestsEnded' }
  /** The request's signal was aborted. `cause` is the number of the reason. */
  | { readonly type: 'cancel'; readonly handle: number; readonly cause: number }
  /** The answer to the effect `takeApart`: the single messages of the group. */
  | {
      readonly type: 'apart'
      readonly handle: number
      readonly requests: readonly RequestFacts[]
    }
  /** A diverted publish has its outcome. `failure` is the rejection, or null. */
  | { readonly type: 'diverted'; readonly handle: number; readonly failure: Failure | null }

type ConsumerInput =
  /** The first `next()` was called. */
  | { readonly type: 'start' }
  /** The consumer took packets. */
  | {
      readonly type: 'pulled'
      readonly packets: number
      readonly bytes: number
      /** The highest sequence that was yielded. */
      readonly yieldedThrough: number
      /** Every message up to this sequence is handled; 0 means that none is. */
      readonly handledThrough: number
    }
  /** The consumer called `ack()`. */
  | {
      readonly type: 'ack'
      readonly sequence: number
      readonly messageId: number
      readonly reasonCode: number
    }
  /** The answer to the effect `unread`: the requests whose outcomes are reported to somebody. */
  | { readonly type: 'unread'; readonly handles: readonly number[] }

type ControlInput =
  | { readonly type: 'pause'; readonly ms: number }
  | { readonly type: 'resume' }
  | { readonly type: 'throttle'; readonly perSecond: number }
  | { readonly type: 'reconnect'; readonly policy: ReconnectPolicy | null }
  /** `id` is at least 1; the effect `pong` names it. */
  | { readonly type: 'ping'; readonly id: number }
  /** `failure` is what the loop ends with, or null. */
  | { readonly type: 'disconnect'; readonly timeoutMs: number; readonly failure: Failure | null }
  /** `failure` is what the loop ends with, or null. */
  | { readonly type: 'shutdown'; readonly failure: Failure | null }
  | { readonly type: 'reauthenticate' }

type AuthenticationInput =
  /** The authenticator answered, or accepts the server's last packet. */
  | { readonly type: 'authenticated'; readonly data: Uint8Array | null }
  /** The authenticator failed, or rejects the server. */
  | { readonly type: 'unauthenticated'; readonly failure: Failure }

type NetworkInput =
  /** The answer to the effect `checkConnectivity`. */
  | { readonly type: 'connectivity'; readonly online: boolean }
  /** A network hint (T5, network hints). */
  | { readonly type: 'network'; readonly online: boolean }

type TimeInput =
  /**
   * A deadline may have passed. `attempt` says what an attempt is waiting for if one is under way.
   */
  { readonly type: 'tick'; readonly attempt?: AttemptProgress | null }

/** What an attempt to connect is waiting for. */
export interface AttemptProgress {
  /** The server, for messages. */
  readonly where: string
  readonly stage: AttemptStage
}

/**
 * The stages of an attempt until the transport is open: what the user's code returns, the name
 * lookup, TCP or the Unix socket, TLS, the WebSocket upgrade; or a transport of the user.
 */
export type AttemptStage = 'options' | 'lookup' | 'tcp' | 'unix' | 'tls' | 'upgrade' | 'transport'

// ----------------------------------------------------------------------------------------- effects

/** Something that the loop must do. The loop performs the effects of a step in their order. */
export type Effect =
  | TransportEffect
  | SendEffect
  | RequestEffect
  | ConsumerEffect
  | ControlEffect
  | AuthenticationEffect
  | NetworkEffect

type TransportEffect =
  /** Open a transport to the server `host` of the list, or to `redirect` if it is not null. */
  | {
      readonly type: 'dial'
      readonly protocolVersion: ProtocolVersion
      readonly host: number
      readonly redirect: string | null
      /** Counts from 1 since the last connection. */
      readonly attempt: number
    }
  /** Write what is left and close. With `patient` the server may close first. */
  | { readonly type: 'close'; readonly patient: boolean }
  | { readonly type: 'destroy' }
  | { readonly type: 'pauseReading' }
  | { readonly type: 'resumeReading' }
  | TransitionEffect
  /** The loop is over. */
  | { readonly type: 'finished'; readonly failure: Failure | null }

/** Send one packet. */
type SendEffect =
  | {
      readonly type: 'connect'
      readonly clientId: string
      readonly cleanStart: boolean
      /** Keep Alive in seconds. */
      readonly keepAlive: number
      readonly protocolVersion: ProtocolVersion
    }
  | PublishEffect
  | { readonly type: 'subscribe'; readonly messageId: number; readonly facts: SubscribeFacts }
  | { readonly type: 'unsubscribe'; readonly messageId: number; readonly facts: UnsubscribeFacts }
  | AcknowledgeEffect
  | { readonly type: 'pingreq' }
  | { readonly type: 'auth'; readonly reasonCode: number; readonly data: Uint8Array | null }
  | {
      readonly type: 'disconnect'
      readonly reasonCode: number
      readonly properties: Properties | undefined
    }

type RequestEffect =
  | SettleEffect
  /** The oldest `count` QoS 0 publishes are settled. `failure` is null if the kernel took them. */
  | { readonly type: 'confirm'; readonly count: number; readonly failure: Failure | null }
  /** The group cannot be sent as one. The answer, its single messages, is the input `apart`. */
  | { readonly type: 'takeApart'; readonly handle: number }
  /** Call `onConnected`. The answer is the input `births`. */
  | { readonly type: 'births'; readonly packet: ReceivedConnack }
  /** Give this publish to `divert.to`. The answer is the input `diverted`. */
  | { readonly type: 'divert'; readonly handle: number }

type ConsumerEffect =
  | YieldEffect
  /** Keep QoS 1 and 2 messages that the consumer has not taken until the CONNACK (R6). */
  | { readonly type: 'holdBack' }
  /** Drop those messages, because the server redelivers them, or yield them. */
  | {
      readonly type: 'releaseHeldBack'
      readonly drop: boolean
      /** The first sequence of this connection. */
      readonly before: number
    }
  | {
      readonly type: 'warn'
      readonly code: WarningCode
      readonly message: string
      /** What a SERVER_DEVIATION is about. */
      readonly deviation?: DeviationKind
    }
  /** No answer can be read until the consumer takes packets. The answer is the input `unread`. */
  | { readonly type: 'unread' }
  /** Warn that the loop does not get on: this many losses in a row, with no progress between. */
  | {
      readonly type: 'noProgress'
      readonly losses: number
      readonly reason: Failure
      readonly first: FirstOpen | null
    }

type ControlEffect =
  /** The PINGREQ `id` was answered. `id` is 0 for a PINGREQ of the engine itself. */
  | { readonly type: 'pong'; readonly id: number }
  /** A reauthentication ended. `failure` is null if it succeeded. */
  | { readonly type: 'reauthenticated'; readonly failure: Failure | null }

type AuthenticationEffect =
  /** Ask the authenticator to begin, to answer `data`, or to check the server's last packet. */
  {
    readonly type: 'authenticate'
    readonly step: 'begin' | 'answer' | 'verify'
    readonly by: 'client' | 'server'
    readonly data: Uint8Array | null
  }

type NetworkEffect =
  /** Ask whether this client is online. The answer is the input `connectivity`. */
  { readonly type: 'checkConnectivity' }

/** The connection changed its kind, or stayed `disconnected` and got a new `retryAt`. */
export interface TransitionEffect {
  readonly type: 'transition'
  readonly from: ConnectionKind
  readonly to: ConnectionKind
  readonly reason: Failure | null
  readonly at: number
  /** The instant of the next attempt, or Infinity if none is planned. */
  readonly retryAt: number
  /** To `connected`: whether the session goes on. Otherwise null. */
  readonly sessionPresent: boolean | null
}

export interface PublishEffect {
  readonly type: 'publish'
  readonly handle: number
  readonly qos: QoS
  /** The packet identifier, or 0 at QoS 0. */
  readonly messageId: number
  readonly dup: boolean
  /** The remaining Message Expiry Interval in seconds, or -1 if the message does not expire. */
  readonly expirySeconds: number
}

interface AcknowledgeEffect {
  readonly type: 'acknowledge'
  readonly cmd: AckPacket['cmd']
  readonly messageId: number
  readonly reasonCode: number
}

export interface YieldEffect {
  readonly type: 'yield'
  readonly packet: ServerPacket
  /** The request that the packet answers, or 0 if it answers none. */
  readonly handle: number
  /** The sequence of a message that must be acknowledged, or 0. */
  readonly sequence: number
  /** The delivery number of a QoS 2 message, or 0. */
  readonly deliveryId: number
  readonly redelivered: boolean
  /** How much the packet counts against `maxBufferedBytes`. */
  readonly bytes: number
}

export interface SettleEffect {
  readonly type: 'settle'
  readonly handle: number
  /** Why the outcome is not ok, or null if it is ok or was given before. */
  readonly failure: Failure | null
  readonly packet: ServerPacket | null
  /** Whether the outcome is given now. */
  readonly outcome: boolean
  /** Whether the handle is free again. */
  readonly release: boolean
}
