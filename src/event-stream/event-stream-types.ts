/**
 * What are an event stream, what carries it, and who signs it? Types only.
 */
import type { Platform } from '../index.ts'
import type { HeadersInput, MessageInput, StreamMessage } from './codec/header-values.ts'
import type {
  EventDefinition,
  EventOf,
  EventSet,
  EventValue,
  OtherDefinitions,
  SentValue,
} from './event-definitions.ts'

/** Carries messages both ways. */
export interface Carrier {
  /** What is received. Its end is the end of what the other side sends. */
  readonly receive: AsyncIterable<StreamMessage>
  /**
   * Takes a message. Calls come in order; the next one may come before the promise of this one
   * has resolved, which means that the message was taken.
   */
  send(message: MessageInput): Promise<void> | void
  /** Says that nothing more is sent, after everything that was. Receiving goes on. */
  end?(): Promise<void> | void
  /** Ends both ways immediately. It is called once; after a clean end without a reason. */
  close?(reason?: unknown): void
}

/** What a signer is given. */
export interface SignRequest {
  /** The signature before this one; the `seed` for the first message. */
  readonly prior: Uint8Array
  /** Whether it is the first message of a stream that has one, an event, or the end. */
  readonly kind: 'initial' | 'event' | 'end'
  /** The headers of the message; none at the end. */
  readonly headers: HeadersInput
  /** The payload of the message; empty at the end. */
  readonly payload: Uint8Array
  /** Now, by the clock of the stream. */
  readonly at: Date
}

/** What a signer answers. */
export interface Signed {
  /** The message to be sent. */
  readonly message: MessageInput
  /** The `prior` of the next message. */
  readonly signature: Uint8Array
}

/** Signs what is sent. */
export interface Signer {
  /** What the first message continues, such as the signature of a request. Default: empty. */
  readonly seed?: Uint8Array | undefined
  /** Signs one message. Calls come one after the other, in the order of the sends. */
  sign(request: SignRequest): Signed | Promise<Signed>
}

/** What a verifier answers. */
export interface Verified {
  /** The message that was signed, or null for the end of the stream. */
  readonly message: StreamMessage | null
  /** The `prior` of the next message. */
  readonly signature: Uint8Array
}

/** Verifies what is received. */
export interface Verifier {
  /** What the first message continues. Default: empty. */
  readonly seed?: Uint8Array | undefined
  /** Verifies one message; it throws if the signature is wrong. */
  verify(request: {
    /** The signature before this one. */
    readonly prior: Uint8Array
    /** The message as it was received. */
    readonly message: StreamMessage
  }): Verified | Promise<Verified>
}

/** A warning of a stream, which goes on. */
export interface StreamWarning {
  /** Names the case. */
  readonly code: 'UNKNOWN_EVENT'
  /** Says what happened. */
  readonly message: string
}

/** The options of `openEventStream()`. */
export interface EventStreamOptions<
  Events extends EventSet = EventSet,
  Role extends 'client' | 'server' = 'client' | 'server',
> {
  /** What `defineEvents()` returned. */
  readonly events: Events
  /** Which side this is: it decides which initial message is sent, and which is received. */
  readonly role: Role
  /**
   * The value of the first message of this side: `initialRequest` of a client, `initialResponse` of
   * a server. It must be given if and only if that is defined.
   */
  readonly initial?: InitialValue<Events['others'], Role, 'sent'> | undefined
  /** Signs what is sent. Default: nobody. */
  readonly signer?: Signer | undefined
  /** Verifies what is received. Then the stream must end with a signed end. Default: nobody. */
  readonly verifier?: Verifier | undefined
  /**
   * What happens to an event that is not defined: `skip`, with one warning for each type; `throw`,
   * ProtocolError `UNKNOWN_EVENT`; or a function that is given it. Default `skip`, since a service
   * may add events.
   */
  readonly onUnknownEvent?: 'skip' | 'throw' | ((message: StreamMessage) => void) | undefined
  /** Is given messages without `:message-type`. Default: they are a ProtocolError. */
  readonly onRaw?: ((message: StreamMessage) => void) | undefined
  /**
   * The names of events of which one must be the last. An end after another one, or after none,
   * rejects with `INCOMPLETE`. Default: any end is one.
   */
  readonly endsWith?: readonly (keyof Events['events'] & string)[] | undefined
  /** Is given warnings. Default: the warnings of the process, or the console. */
  readonly onWarning?: ((warning: StreamWarning) => void) | undefined
  /** Timers and the wall clock. Default: those of the machine. */
  readonly platform?: Pick<Platform, 'setTimer' | 'clearTimer' | 'wallNow'> | undefined
}

type DefinitionOf<Others, Name extends keyof OtherDefinitions> = Others extends {
  readonly [Key in Name]: infer D extends EventDefinition
}
  ? D
  : never

type NameOfInitial<Role, Way> = [Role, Way] extends ['client', 'sent'] | ['server', 'received']
  ? 'initialRequest'
  : 'initialResponse'

/** The type of an initial message. */
export type InitialValue<Others, Role, Way extends 'sent' | 'received'> = Way extends 'sent'
  ? SentValue<DefinitionOf<Others, NameOfInitial<Role, Way>>>
  : EventValue<DefinitionOf<Others, NameOfInitial<Role, Way>>>

/** The methods that send, one for each event. */
export type Senders<Set extends EventSet> = {
  readonly [Name in keyof Set['events'] & string]: undefined extends SentValue<Set['events'][Name]>
    ? (value?: SentValue<Set['events'][Name]>, headers?: HeadersInput) => Promise<void>
    : (value: SentValue<Set['events'][Name]>, headers?: HeadersInput) => Promise<void>
}

interface HasExceptions<Exceptions extends Record<string, EventDefinition>> {
  readonly exceptions: Exceptions
}

/** What `fail()` sends: an exception that is defined, or an error with a code and a text. */
export type StreamFailure<Others> =
  | {
      /** The `:error-code`. */
      readonly code: string
      /** The `:error-message`. */
      readonly message: string
    }
  | (Others extends HasExceptions<infer Exceptions>
      ? {
          [Name in keyof Exceptions & string]: {
            /** The `:exception-type`. */
            readonly type: Name
            /** The payload. */
            readonly value: SentValue<Exceptions[Name]>
          }
        }[keyof Exceptions & string]
      : never)

/** Typed events, both ways. Iterate it once. */
export interface EventStream<
  Set extends EventSet = EventSet,
  Role extends 'client' | 'server' = 'client' | 'server',
> extends AsyncIterableIterator<EventOf<Set['events']>, undefined>,
    AsyncDisposable {
  /**
   * Sends events, in the order of the calls: `send.name(value, headers)`. The promise resolves when
   * the carrier took the message, and waits while the carrier is full.
   * @throws UsageError for a value that cannot be sent, which harms nothing else; `ENDED` after
   *   `end()`; `QUEUE_FULL` if 10,000 sends wait; and what ended the stream.
   */
  readonly send: Senders<Set>
  /** Sends a message as it is, in the same order. It is signed as an event is. */
  sendRaw(message: MessageInput): Promise<void>
  /**
   * Ends what this side sends, after everything that was sent; a signer signs the end. Receiving
   * goes on. To call it twice is to call it once.
   */
  end(): Promise<void>
  /** Sends an exception or an error, and ends what this side sends. */
  fail(failure: StreamFailure<Set['others']>): Promise<void>
  /**
   * Waits until both sides have ended. If the stream was never iterated, it takes what comes and
   * drops it.
   * @returns true when both sides ended cleanly; false after `timeout` ms (1 to 2,147,483,647;
   *   default: it waits), or if the iteration was left before the end.
   * @throws what ended the stream otherwise
   */
  join(options?: { readonly timeout?: number | undefined }): Promise<boolean>
  /**
   * Ends the stream immediately. What waits is rejected with `reason`; default: ConnectionError
   * `ENDED`.
   */
  kill(reason?: unknown): void
  /** The first message of the server, for a client that defines one. Awaiting it reads it. */
  readonly initialResponse: Promise<InitialValue<Set['others'], Role, 'received'>>
  /** The first message of the client, for a server that defines one. Awaiting it reads it. */
  readonly initialRequest: Promise<InitialValue<Set['others'], Role, 'received'>>
}
