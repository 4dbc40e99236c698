/**
 * What do users of `it-mqtt/presence` write, and what are they given? Types only.
 */

/** The options of `withPresence()`: how this client says that it is there. */
export interface ConnectionPresenceOptions {
  /** The beginning of all topics of presence, one or more levels. Default `presence`. */
  readonly prefix?: string | undefined
  /**
   * After how many seconds without a sign a connection counts as lost, 2 to 604,800; a sign is sent
   * at half of it. 0: only the server's will says so. Default 300.
   */
  readonly ttl?: number | undefined
  /**
   * For how many seconds the server waits before it says that the connection is lost, 0 to 86,400:
   * the Will Delay Interval. A reconnection that resumes the session within it is no loss. The
   * server waits no longer than the session lives (`sessionExpiryInterval`). MQTT 5. Default 15.
   */
  readonly grace?: number | undefined
  /**
   * How many seconds the server keeps the record of a member that is not renewed, 60 to 31,536,000:
   * the Message Expiry Interval, so that what is left behind goes by itself. 0: for ever. MQTT 5.
   * Default 86,400.
   */
  readonly recordTtl?: number | undefined
}

/** The options of `presence()`: what this space looks like from here. */
export interface PresenceOptions {
  /**
   * The beginning of all topics of presence. Default: that of `withPresence()`, else `presence`.
   */
  readonly prefix?: string | undefined
  /**
   * How many members are kept, 1 to 1,000,000. Beyond that a warning says so, and members that were
   * not kept are found by the next sync at the earliest. Default 10,000.
   */
  readonly maxMembers?: number | undefined
  /**
   * How many bytes the data of a member may have as JSON without white space, 1 to 262,144, both
   * ways. A record of others with larger data is ignored and counted. Default 16,384.
   */
  readonly maxData?: number | undefined
  /**
   * Whether this client removes the records of connections that have been lost for twice their
   * `ttl`. For servers of MQTT 3.1.1, where they never expire. One janitor is enough. Default
   * false.
   */
  readonly janitor?: boolean | undefined
}

/**
 * How sure it is. `seen`: records that came on this connection say so. `before`: they came on an
 * earlier connection, and were not seen again yet. `ordered` and `quiet`: a member that was known
 * before was not seen again by the end of the sync, of which as much is known as `synced` says.
 * `lease`: no sign of its connection came within its `ttl`.
 */
export type Certainty = 'seen' | 'before' | 'ordered' | 'quiet' | 'lease'

/** Somebody who is there: a client, on one connection object of it. */
export interface Member {
  /** The name of the member: a client identifier, unless the member was entered for another. */
  readonly client: string
  /** The client object behind it: 24 hexadecimal digits. A new process has another one. */
  readonly connection: string
  /** What it said of itself: any JSON value. It is not validated. Undefined: nothing. */
  readonly data: unknown
  /** Whether it was found there (`sync`) or came while this client watched (`live`). */
  readonly since: 'sync' | 'live'
  /** How sure it is that this is so. */
  readonly certainty: Certainty
}

/**
 * Something happened. `present`: the member was found there, or a loss was taken back. `enter`: it
 * came. `update`: it has other data. `leave`: it left. `lost`: its connection was lost.
 */
export interface PresenceChange {
  /** What happened. */
  readonly action: 'present' | 'enter' | 'update' | 'leave' | 'lost'
  /** The member after it; after `leave` and `lost` as it was, with the data of the farewell. */
  readonly member: Member
}

/** What `synced` resolves with. */
export interface PresenceSynced {
  /** How sure it is that all members have come: see `Subscription.synced`. */
  readonly certainty: 'ordered' | 'quiet'
}

/** When a call ends although the server has not answered. */
export interface CallBounds {
  /** Gives the call up: its reason is thrown. */
  readonly signal?: AbortSignal | undefined
  /** Gives the call up after so many ms, at most 86,400,000, with `TIMEOUT`. Default: never. */
  readonly timeout?: number | undefined
}

/** Which members `get()` returns, and how long it waits for them. */
export interface GetOptions extends CallBounds {
  /** Whether to wait until the members are known. Default true. */
  readonly waitForSync?: boolean | undefined
  /** Only members with this name. Default: all. */
  readonly client?: string | undefined
  /** Only members of this connection. Default: all. */
  readonly connection?: string | undefined
}

/** Whom `enter()`, `update()` and `leave()` are about, and how long they wait. */
export interface MemberOptions extends CallBounds {
  /**
   * The name of the member: a gateway enters others so. Default: the identifier of this client.
   */
  readonly client?: string | undefined
}

/** What is known about a space now. */
export interface PresenceState {
  /** Members that are there. */
  readonly members: number
  /** Records of members that are kept; some of lost connections wait until they are forgotten. */
  readonly records: number
  /** Connections whose signs are kept. */
  readonly connections: number
  /** `idle`: nobody has asked yet. `lost`: there is no connection. */
  readonly status: 'idle' | 'syncing' | 'synced' | 'lost'
  /** Members that this client has entered here. */
  readonly entered: number
  /** Messages that were no valid records. */
  readonly ignored: number
  /** Records that came again, or were older than what is known. */
  readonly repeated: number
  /** Records that were not kept, because there are as many as `maxMembers` allows. */
  readonly overflowed: number
}

/** The presence of clients in one space. */
export interface Presence extends AsyncDisposable {
  /** The name of the space. */
  readonly space: string
  /**
   * Enters, or replaces the data of a member that has entered. It stays entered over reconnections
   * until it leaves. A false loss is noticed only while something of the client is awaited, or a
   * sign is sent: call `client.run()` to have it taken back at once.
   * @param data any JSON value of at most `maxData` bytes; left out: no data.
   * @returns a promise of the server's acknowledgement; without a connection it waits for one.
   * @throws UsageError for data that cannot be sent, or a client without `withPresence()`;
   *   RefusedError if the server refuses it, and then the member has not entered; `ENDED`;
   *   `TIMEOUT` or the reason of the signal, and then the member is what it was before the call:
   *   what was sent is taken back.
   */
  enter(data?: unknown, options?: MemberOptions): Promise<void>
  /** As `enter()`. */
  update(data: unknown, options?: MemberOptions): Promise<void>
  /**
   * Leaves, also if another presence of this client has entered the same member. Who has not
   * entered leaves without an error. Giving this call up ends only the waiting: the member leaves.
   * @param data what is seen with the farewell. Default: the data that the member had.
   */
  leave(data?: unknown, options?: MemberOptions): Promise<void>
  /**
   * Who is there. It makes the client connect, and read what the server had sent before.
   * @throws ConnectionError `NOT_SYNCED` if there was a connection and is none now: the members as
   *   they were last known are in `error.members`; `SUBSCRIBE_REFUSED`; `ENDED`; `TIMEOUT`, also
   *   without a time-out of its own if the server is silent for 5 s; the reason of the signal.
   *   The space is still watched then, as after every call.
   */
  get(options?: GetOptions): Promise<readonly Member[]>
  /**
   * What happens, beginning with `present` for each one who is there. For each member changes come
   * in order. More than 1,024 that were not taken become the net change of each member. Any number
   * of iterators may run; each sees all.
   */
  changes(): AsyncIterableIterator<PresenceChange, undefined>
  /** Resolves when the members are known, as far as this can be; again after a reconnection. */
  readonly synced: Promise<PresenceSynced>
  /** What is known now. */
  readonly state: PresenceState
  /**
   * Leaves with everybody who entered by this presence and by no other, and watches no more. Calls
   * that wait for a connection are rejected with `ENDED`. To call it twice is once.
   */
  close(): Promise<void>
}
