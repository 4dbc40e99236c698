/**
 * When does it pay to let the server gather what it sends?
 *
 * A server that answers each of thousands of publishes with a write of its own makes this client
 * read each of them alone, and both sides spend more on the system than on MQTT. If reading rests
 * for a millisecond now and then, the server's writes are joined. Nobody waits longer for it while
 * so much is outstanding: a rest follows only on small reads, and only while `OUTSTANDING` publishes
 * are in flight or as many bytes as `QUEUED_BYTES` wait to be written.
 *
 * Whether it helps depends on the server and on the road. So both ways are measured in turn, by how
 * many bytes come in a period, and the better one is used for most of the time.
 */

/** How long reading rests, in ms. */
export const REST_MS = 1

/** The publishes in flight from which on reading may rest. */
export const OUTSTANDING = 256
/** The bytes that wait to be written from which on reading may rest. */
export const QUEUED_BYTES = 32_768
/** A read of fewer bytes is small. */
const SMALL_BYTES = 2048
/** The number of small reads in a row after which reading rests. */
const SMALL_READS = 3
/** How long one way is measured, in ms. */
const PERIOD_MS = 40
/** The other way is tried in one of so many periods. */
const PERIODS = 16

export interface RestState {
  /** The number of small reads since the last large one, or since the last rest. */
  readonly small: number
  /** Whether reading rests in this period. */
  readonly rests: boolean
  readonly periodFrom: number
  readonly periodBytes: number
  /** The number of periods since both ways were compared. */
  readonly periods: number
  /** The bytes in a ms with rests and without; 0 while a way was not measured. */
  readonly rateWith: number
  readonly rateWithout: number
}

/** @returns whether so much is outstanding that nobody waits for a single packet. */
export function mayRest(inFlight: number, queuedBytes: number): boolean {
  return inFlight >= OUTSTANDING || queuedBytes >= QUEUED_BYTES
}

/** @returns the state as much begins to be outstanding. */
export function beginResting(at: number): RestState {
  const measured = { periodFrom: at, periodBytes: 0, periods: 0, rateWith: 0, rateWithout: 0 }
  return { small: 0, rests: true, ...measured }
}

/** Counts a read. @returns the new state, and whether reading rests now. */
export function readBytes(state: RestState, bytes: number, at: number): [RestState, boolean] {
  const counted = { ...state, periodBytes: state.periodBytes + bytes }
  const now = at - state.periodFrom >= PERIOD_MS ? nextPeriod(counted, at) : counted
  const small = bytes < SMALL_BYTES ? now.small + 1 : 0
  const rests = now.rests && small >= SMALL_READS
  return [{ ...now, small: rests ? 0 : small }, rests]
}

function nextPeriod(state: RestState, at: number): RestState {
  const rate = state.periodBytes / (at - state.periodFrom)
  const rateWith = state.rests ? rate : state.rateWith
  const rateWithout = state.rests ? state.rateWithout : rate
  const begun = { ...state, rateWith, rateWithout, periodFrom: at, periodBytes: 0 }
  const isMeasured = rateWith > 0 && rateWithout > 0
  const isTrial = state.rests !== rateWith >= rateWithout
  if (!isMeasured || isTrial || state.periods + 1 < PERIODS) {
    // The better way, or the one that was not measured yet.
    const rests = isMeasured ? rateWith >= rateWithout : rateWith === 0
    return { ...begun, rests, periods: isMeasured && !isTrial ? state.periods + 1 : 0 }
  }
  return { ...begun, rests: !state.rests, periods: 0 }
}
