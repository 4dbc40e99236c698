/**
 * When is what a broker did a proof? A connection ends, and an answer stays away, for many reasons.
 * It counts only if it happens again while something that should be taken is taken in between.
 */
import type { PeerAnswer } from './peer.ts'
import { NotKnown } from './visit.ts'

interface Trial {
  /** What may be refused, on a connection of its own each time. */
  ask(): Promise<PeerAnswer>
  /** What differs from it in nothing but the cause in question, on a connection of its own. */
  control(): Promise<PeerAnswer>
}

/**
 * @returns the answer of the broker. The end of the connection and silence are seen twice, and the
 *   control is taken after each of them.
 * @throws NotKnown if something else may be the cause.
 */
export async function sureAnswer({ ask, control }: Trial): Promise<PeerAnswer> {
  const first = await ask()
  if (isWord(first)) return first
  await expectControl(control)
  const second = await ask()
  if (isWord(second)) return second
  if (second.kind !== first.kind) throw new NotKnown(`once: ${first.says}; then: ${second.says}`)
  await expectControl(control)
  return second
}

/**
 * @param code the reason code that names the limit in question.
 * @returns whether the broker takes what is asked.
 * @throws NotKnown if it does not, and another cause is possible.
 */
export async function isTaken(trial: Trial, code: number): Promise<boolean> {
  const answer = await sureAnswer(trial)
  if (answer.kind === 'accepted') return true
  if (answer.kind === 'closed' || answer.codes.includes(code)) return false
  throw new NotKnown(`it got: ${answer.says}`)
}

/** @returns the result, or null where it is not known. @throws anything else. */
export async function ifKnown<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result
  } catch (error) {
    if (error instanceof NotKnown) return null
    throw error
  }
}

async function expectControl(control: Trial['control']): Promise<void> {
  const { kind, says } = await control()
  if (kind !== 'accepted') throw new NotKnown(`what should be taken got: ${says}`)
}

/** Whether it is an answer in words, and not the absence of one. */
function isWord({ kind }: PeerAnswer): boolean {
  return kind !== 'closed' && kind !== 'silence'
}
