/**
 * What outlives a connection and a loop? Requests without an outcome, received identifiers, and
 * subscriptions. As text or in a store (session-text.ts, `SessionStore`) they outlive the process.
 *
 * The session of a running loop is a copy of one moment, marked as not final: a loop that goes on
 * with it forgets what was received and promises at-least-once delivery, because the server has
 * gone on since. The session of a loop that has ended is final.
 */
import type { ProtocolVersion } from '../protocol/facts.ts'
import { recordOf, type SessionParts, type SessionRecord } from './session-records.ts'
import type { SentRequest } from './vocabulary.ts'

type SessionHead = Pick<SessionRecord, 'clientId' | 'protocolVersion' | 'final'>

/** The part of a loop that outlives a connection: `eventloop({ …, session })` goes on with it. */
export class Session {
  /** The client identifier to which the session belongs. */
  readonly clientId: string
  /** The version that the server agreed to; 0 if there was no good CONNACK yet. */
  readonly protocolVersion: ProtocolVersion | 0
  /** Whether it was read after the loop had ended. */
  readonly final: boolean
  /** Null if it was read from a text or a disk. */
  readonly #parts: SessionParts | null
  #made: SessionRecord | undefined

  /** @internal */
  constructor(
    { clientId, protocolVersion, final }: SessionHead,
    source: { readonly parts: SessionParts } | { readonly record: SessionRecord },
  ) {
    this.clientId = clientId
    this.protocolVersion = protocolVersion
    this.final = final
    this.#parts = 'parts' in source ? source.parts : null
    this.#made = 'parts' in source ? undefined : source.record
  }

  /** The requests that were taken and have no outcome yet, in their order: the same objects. */
  get held(): readonly SentRequest[] {
    return this.record()
      .held.filter(({ settled }) => !settled)
      .map(({ request }) => request)
  }

  /** @internal Null if it was read from a text or a disk. A getter is not printed or logged. */
  get parts(): SessionParts | null {
    return this.#parts
  }

  /** @internal */
  record(): SessionRecord {
    this.#made ??= recordOf(this.#parts!, this.final)
    return this.#made
  }
}

/** Keeps a session outside of the process; the option `session` may be one. */
export interface SessionStore {
  /**
   * @returns the session that was committed last, or null if there is none: then the first
   *   connection adopts what the server has, or begins a new one.
   */
  load(): Promise<Session | null>
  /**
   * Resolves once the session is safe; packets that depend on it leave only then. Calls never
   * overlap. If it rejects, the loop ends with a `StorageError`.
   */
  commit(session: Session): Promise<void>
  /** The last call, after one more commit. The loop has ended once it has resolved. */
  close(): Promise<void>
}

/** @returns a copy of a loop's session. O(1): its content is made when somebody reads it. */
export function sessionOf(parts: SessionParts, final: boolean): Session {
  const { clientId, protocolVersion } = parts.state
  return new Session({ clientId, protocolVersion, final }, { parts })
}
