/**
 * Whom has this client entered, and what is it to write about them? Types only.
 */

/** What a member has by a record. */
interface Accepted {
  readonly dataText: string | undefined
}

/** What a call asks for. */
export interface OwnWish {
  readonly isIn: boolean
  /** The data of the member as JSON; undefined: none. */
  readonly dataText: string | undefined
  /** The data of its farewell as JSON; undefined: none. */
  readonly farewell: string | undefined
}

/** One whom this client has entered. */
export interface OwnMember {
  readonly space: string
  /** Its name; null: the identifier of this client. */
  readonly client: string | null
  /** Its data as JSON; undefined: none. */
  dataText: string | undefined
  isIn: boolean
  /** What the server has acknowledged; null: it has not entered, as far as the server said. */
  accepted: Accepted | null
  /** The data of the farewell that is still to be written; null: none is. */
  farewell: string | undefined | null
  /** Counts the calls about it. */
  version: number
  /** The seq of the last record of it, and when it was written. */
  lastSeq: number
  writtenAt: number
  /** The seq of the newest record of it that has an outcome. */
  settledSeq: number
  /** The topic of the last record; empty: there was none. */
  topic: string
  /** Records without an outcome. */
  open: number
}

/** A record to be written. */
export interface Write {
  readonly topic: string
  readonly payload: string
  /** For how many seconds the server is to keep it; 0: for ever. */
  readonly expiry: number
  readonly epoch: number
  readonly seq: number
  /** Whom it is about; null: the connection. */
  readonly member: OwnMember | null
  /** Which call about the member it settles; 0: none. */
  readonly version: number
  /** What its member has by it; null: the member has left by it, or it is of the connection. */
  readonly gives: Accepted | null
}

/** How a connection speaks of itself. */
export interface OwnTerms {
  readonly connection: string
  readonly prefix: string
  readonly ttl: number
  readonly recordTtl: number
}
