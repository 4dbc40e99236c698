/**
 * What can the value of a header be? The format has nine types; the boolean has two codes on the
 * wire.
 */

/** The value of a header with its type. A `long` is a bigint: it has 64 bits. */
export type HeaderValue =
  | {
      /** A boolean: codes 0 and 1. */
      readonly type: 'bool'
      /** The value. */
      readonly value: boolean
    }
  | {
      /** 8, 16 or 32 bits with a sign: codes 2, 3 and 4. */
      readonly type: 'byte' | 'short' | 'int'
      /** A whole number that fits. */
      readonly value: number
    }
  | {
      /** 64 bits with a sign: code 5. */
      readonly type: 'long'
      /** −2⁶³ to 2⁶³ − 1. */
      readonly value: bigint
    }
  | {
      /** Bytes: code 6. */
      readonly type: 'bytes'
      /** At most 32,767 bytes. */
      readonly value: Uint8Array
    }
  | {
      /** Text: code 7. */
      readonly type: 'string'
      /** At most 32,767 bytes of UTF-8. */
      readonly value: string
    }
  | {
      /** Milliseconds since 1970: code 8. */
      readonly type: 'timestamp'
      /** The instant; a bigint of milliseconds if it is beyond the range of `Date`. */
      readonly value: Date | bigint
    }
  | {
      /** 16 bytes: code 9. */
      readonly type: 'uuid'
      /** Such as `0191d4a1-7c1e-7c4a-9a63-0d2f5a8f5c11`; in lower case if it was received. */
      readonly value: string
    }

/**
 * What a header may be given as. A boolean, a text, bytes and a `Date` say their type. A number
 * does not, since the format has four types of them: `header.int(5)`.
 */
export type HeaderInput = HeaderValue | boolean | string | Uint8Array | Date

/** Headers to be sent: a map, or an object of which the own properties count. */
export type HeadersInput = ReadonlyMap<string, HeaderInput> | Readonly<Record<string, HeaderInput>>

/** A message: headers and a payload. */
export interface StreamMessage {
  /** The headers by name, in the order of the wire. */
  readonly headers: ReadonlyMap<string, HeaderValue>
  /** The payload. It can share memory with the bytes that the message was decoded from. */
  readonly payload: Uint8Array
}

/** A message to be encoded. */
export interface MessageInput {
  /** Names have 1 to 255 bytes of UTF-8; all together have at most 131,072. Default: none. */
  readonly headers?: HeadersInput | undefined
  /** At most 25,165,824 bytes. Default: none. */
  readonly payload?: Uint8Array | undefined
}

type NumberHeader = Extract<HeaderValue, { value: number }>

const numberHeader =
  (type: NumberHeader['type']) =>
  (value: number): NumberHeader => ({ type, value })

/**
 * Makers of header values, for types that a value of JavaScript does not say. What they are given
 * is checked when the message is encoded.
 */
export const header = /* @__PURE__ */ Object.freeze({
  /** A boolean. */
  bool: (value: boolean): HeaderValue => ({ type: 'bool', value }),
  /** −128 to 127. */
  byte: /* @__PURE__ */ numberHeader('byte'),
  /** −32,768 to 32,767. */
  short: /* @__PURE__ */ numberHeader('short'),
  /** −2,147,483,648 to 2,147,483,647. */
  int: /* @__PURE__ */ numberHeader('int'),
  /** −2⁶³ to 2⁶³ − 1. */
  long: (value: bigint): HeaderValue => ({ type: 'long', value }),
  /** At most 32,767 bytes. */
  bytes: (value: Uint8Array): HeaderValue => ({ type: 'bytes', value }),
  /** At most 32,767 bytes of UTF-8. */
  string: (value: string): HeaderValue => ({ type: 'string', value }),
  /** An instant, or milliseconds since 1970 as a bigint. */
  timestamp: (value: Date | bigint): HeaderValue => ({ type: 'timestamp', value }),
  /** 32 hexadecimal digits in the groups of a UUID, in upper or lower case. */
  uuid: (value: string): HeaderValue => ({ type: 'uuid', value }),
})

/** The code of each type on the wire; that of `false` is one more than that of `true`. */
export const TYPE_CODES = {
  bool: 0,
  byte: 2,
  short: 3,
  int: 4,
  long: 5,
  bytes: 6,
  string: 7,
  timestamp: 8,
  uuid: 9,
} as const satisfies Record<HeaderValue['type'], number>

/** The bytes of the two lengths and the checksum of both, with which a message begins. */
export const PRELUDE_BYTES = 12
/** The bytes of the checksum with which a message ends. */
export const MESSAGE_CHECKSUM_BYTES = 4
/** The bytes of a message without headers and payload. */
export const MESSAGE_BYTES_MIN = PRELUDE_BYTES + MESSAGE_CHECKSUM_BYTES
/** The longest name of a header. */
export const NAME_BYTES_MAX = 255
/** The longest text, and the most bytes, that a header can have. */
export const HEADER_VALUE_BYTES_MAX = 32_767
/** The most bytes that the headers of a message may have. */
export const HEADERS_BYTES_MAX = 131_072
/** The most bytes that a payload may have. */
export const PAYLOAD_BYTES_MAX = 25_165_824
