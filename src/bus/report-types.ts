/**
 * What does a bus say of each call and each event, and to whom? Types only. There are names, ids,
 * sizes, durations and codes in it, and never a payload, an input or an answer.
 */
import type { SchemaVerdict } from './schema/compare-schemas.ts'

/** What all reports have. */
interface ReportedOperation {
  /** The name of the service of this process. */
  readonly service: string
  /** The name of this process. */
  readonly process: string
  /** The name of the API. */
  readonly api: string
  /** The version of the API that this process has. */
  readonly version: string
  /**
   * Why it failed: the code of the error; `aborted` for an AbortError or a TimeoutError, `thrown`
   * for anything else that was thrown; null if it went well. A code that another process made up,
   * without an API that declares it, is `REFUSED_BY_RESPONDER`.
   */
  readonly code: string | null
  /** How long it took, with its hooks, in ms. */
  readonly ms: number
}

/** A call that has ended, as the diagnostics channel `it-mqtt:rpc` and a logger get it. */
export interface RpcReport extends ReportedOperation {
  /** `call`: this process has called. `execute`: a handler of this process was called. */
  readonly kind: 'call' | 'execute'
  /** The name of the rpc; null if this version of the API has none of the name that was called. */
  readonly rpc: string | null
  /** The name of the operation, the same at the caller and at the handler. */
  readonly key: string
  /** Who calls, as `service/process`: a claim at the handler. Null if the caller does not say. */
  readonly by: string | null
  /** The size of the input in bytes, encoded; 0 if it was not sent. */
  readonly inputBytes: number
  /** The size of the answer in bytes; null at a handler, whose answer is encoded later. */
  readonly answerBytes: number | null
}

/** An event that was fired or handled, as the channel `it-mqtt:event` and a logger get it. */
export interface EventReport extends ReportedOperation {
  /** `fire`: this process has announced it. `handle`: a listener of this process had it. */
  readonly kind: 'fire' | 'handle'
  /** The name of the event. */
  readonly event: string
  /** The name of this very event; null if its sender gave none. */
  readonly id: string | null
  /** Who fired it, as `service/process`: a claim at a listener. Null if the sender does not say. */
  readonly by: string | null
  /** The name of the listener; null if it was fired. */
  readonly listener: string | null
  /** Which attempt it was in this process, from 1. */
  readonly attempt: number
  /** What becomes of an event that was not handled; null if it was fired, or handled. */
  readonly action: 'stop' | 'skip' | 'retry' | 'deadLetter' | null
  /** The size of the payload in bytes; 0 if it was not sent. */
  readonly payloadBytes: number
}

/** What became of the schema document of a served API, as the channel `it-mqtt:schema` gets it. */
export interface SchemaReport extends ReportedOperation {
  /**
   * `publish`: it was to be put at the server. `keep`: the same document lay there already.
   * `refresh`: a lease was made longer.
   */
  readonly kind: 'publish' | 'keep' | 'refresh'
  /** Where it lies. */
  readonly topic: string
  /** The hash of the document; null if there can be none. */
  readonly hash: string | null
  /** The size of the document in bytes; 0 if it was not sent. */
  readonly bytes: number
  /** What `compareSchemas()` said of it and what lay there; null if nothing was compared. */
  readonly result: SchemaVerdict | null
}

/** Writes one entry of a log. @param fields what a program reads. @param message for people. */
export type BusLogWriter = (fields: object, message: string) => void

/** The least level of the lines that are written; `silent`: none are. */
export type BusLogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Where a bus writes what it does: a logger of pino, or any object with these four functions. */
export interface BusLogger {
  /** Calls and events that went well. */
  readonly debug: BusLogWriter
  /** The begin and the end of the bus; schemas that were published. */
  readonly info: BusLogWriter
  /** Warnings; calls that failed; events that are handled again. */
  readonly warn: BusLogWriter
  /** Handlers that failed, and events that were not handled. */
  readonly error: BusLogWriter
}
