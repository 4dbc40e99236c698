/**
 * What does the doctor ask, and what does it answer? Types only.
 */
import type { BrokerProfile, EventloopOptions } from '../index.ts'

/** The options of `examine()`: where the broker is, as for `eventloop()`, and these. */
export interface DoctorOptions
  extends Pick<
    EventloopOptions,
    | 'url'
    | 'headers'
    | 'tls'
    | 'family'
    | 'localAddress'
    | 'lookup'
    | 'transport'
    | 'connectOptions'
    | 'username'
    | 'password'
    | 'protocolVersion'
    | 'connectTimeout'
    | 'platform'
  > {
  /**
   * Below which topic everything is published and subscribed, without wildcards. A random level is
   * added. Two questions ask for topics elsewhere that brokers refuse: below `$SYS/`, and
   * `$share/…` in front of a filter of ours. Default `it-mqtt/doctor`.
   */
  readonly prefix?: string | undefined
  /**
   * How the client identifiers begin; a random part and a number are added, 12 characters together.
   * Default `doctor-`.
   */
  readonly clientIdPrefix?: string | undefined
  /** The ids of the questions to ask. Default: all. */
  readonly only?: readonly string[] | undefined
  /**
   * How long the questions may take together, in ms, 1,000 to 3,600,000; what has no answer by then
   * is not known. Removing what was made takes at most 7,500 ms more, and two round trips for each
   * thing. Default 25,000.
   */
  readonly timeout?: number | undefined
  /**
   * Ends the examination. What was made is removed, and then its reason rejects; what could not be
   * removed is in `left` of the examination.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * How an answer is known. `shown`: the broker was seen to do it. `said`: the broker announces it.
 * `unknown`: neither; `why` says why.
 */
export type FindingCertainty = 'shown' | 'said' | 'unknown'

/** What was found out about one question. */
export interface Finding {
  /** The name of the question, such as `will-takeover`. */
  readonly id: string
  /** The question in plain words. */
  readonly question: string
  /** The answer in a few words, or `not known`. */
  readonly answer: string
  /** How it is known. */
  readonly certainty: FindingCertainty
  /** Why it is not known; null if it is. */
  readonly why: string | null
  /** Whether an application may rely on what the question asks for; null if it is not known. */
  readonly reliable: boolean | null
  /** What the answer means for an application. */
  readonly meaning: string
  /** What was sent and what came, oldest first. */
  readonly evidence: readonly string[]
}

/** Why the questions could not be asked. */
export interface DoctorFailure {
  /** The code of the error, as docs/ERRORS.md lists them, or a code of Node. */
  readonly code: string
  /** The message says what is wrong, where, and what to do. */
  readonly message: string
  /** Whether another attempt may succeed without anyone changing anything. */
  readonly retryable: boolean
}

/** What an examination found out. */
export interface DoctorReport {
  /** The number of this form of the report. */
  readonly format: 1
  /** The server: scheme, host and port. */
  readonly server: string
  /** The version of MQTT that was spoken, or null if there was no connection. */
  readonly protocolVersion: 5 | 4 | 3 | null
  /**
   * Why the questions could not be asked: there was no connection, no answer to a PINGREQ, or no
   * second connection beside the first. Null if they could.
   */
  readonly failure: DoctorFailure | null
  /** One for each question, in the order of the table. */
  readonly findings: readonly Finding[]
  /** What a client or a loop may be given as `profile`. What is not known is left out. */
  readonly profile: BrokerProfile
  /** How long it took, in ms. */
  readonly durationMs: number
  /** How many requests were sent: CONNECT, PUBLISH, SUBSCRIBE and UNSUBSCRIBE. */
  readonly requests: number
  /** What could not be removed: retained messages by topic, and sessions by client identifier. */
  readonly left: readonly string[]
}

/** What `examine()` returns. It begins when it is iterated, or when `report()` is called. */
export interface Examination extends AsyncIterable<Finding> {
  /** Yields each finding as it is made. Leaving the iteration early ends the examination. */
  [Symbol.asyncIterator](): AsyncIterator<Finding, undefined>
  /**
   * Resolves with everything that was found. A broker that cannot be reached or does not answer
   * rejects nothing: its findings are not known, and `failure` says why.
   */
  report(): Promise<DoctorReport>
  /**
   * What was made at the broker and is not removed yet: retained messages by topic, and sessions by
   * client identifier. When `report()` is settled, also by an abort, that is what could not be
   * removed.
   */
  readonly left: readonly string[]
}
