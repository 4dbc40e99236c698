/**
 * What is to be done after a look at a file that is followed? A pure decision over what was
 * observed.
 *
 * A file that another one has replaced is read on as long as its writer uses it. It is left once it
 * has been quiet for a while and its successor has content; if it grows later, reading goes back.
 */

/** What a look found at the end of the file that is being read. */
interface Look {
  /**
   * What has the followed name: the file that is read, another file, or nothing for the moment.
   */
  readonly named: 'same' | 'other' | 'none'
  /** Whether the other file has content. */
  readonly otherHasContent: boolean
  /** How long ago the file last gave bytes, in ms. */
  readonly quietMs: number
  /** How long ago the other file was first seen under the name, in ms. */
  readonly replacedMs: number
  /** Whether a file that was left before has grown. */
  readonly leftHasGrown: boolean
}

/**
 * `wait` for a change; `leave` the file for the one that replaced it; go `back` to a file that was
 * left and has grown.
 */
export type Move = 'wait' | 'leave' | 'back'

/** How long a replaced file must be quiet before it is left, in ms. */
const GRACE_MS = 1_000
/** How long a replaced file is read on although its successor waits, in ms. */
const GRACE_MS_MAX = 10_000
/** How long a file that was left is watched for more, in ms. */
export const LEFT_MS = 600_000
/** How many such files are watched: each costs a look now and then, and a file descriptor. */
export const LEFT_MAX = 4

/** How long to wait before the next look while there is movement, and while there is none. */
const FAST_MS = 20
const SLOW_MS = 200
/** How long there is movement after the last byte, in ms. */
const MOVING_MS = 2_000

export function moveAfter(look: Look): Move {
  const { named, otherHasContent, quietMs, replacedMs, leftHasGrown } = look
  if (leftHasGrown) return 'back'
  if (named !== 'other' || !otherHasContent) return 'wait'
  // The grace counts from the replacement, also if the file was quiet long before it.
  if (Math.min(quietMs, replacedMs) >= GRACE_MS) return 'leave'
  return replacedMs >= GRACE_MS_MAX ? 'leave' : 'wait'
}

/**
 * @param quietMs How long ago anything moved.
 * @returns how long to wait before the next look, in ms.
 */
export function paceMs(quietMs: number): number {
  return quietMs < MOVING_MS ? FAST_MS : SLOW_MS
}
