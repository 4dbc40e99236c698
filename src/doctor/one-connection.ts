/**
 * May this user have a second connection? A broker that allows one refuses the second, closes it,
 * or closes the first; then nearly every question would fail, and none would say why.
 */
import { type Peer, reasonWords } from './peer.ts'
import { type Rounds, Visit } from './visit.ts'

/** Why there cannot be two connections. */
export interface OnlyOne {
  /** Whether the second one ends, or the first. */
  readonly ends: 'second' | 'first'
  readonly message: string
  /** What ended it; null: nothing did, and there was no answer. */
  readonly cause: unknown
}

/**
 * Opens a second connection, twice if that fails.
 * @returns null if there may be two, or if it is not certain that there may not.
 */
export async function onlyOneConnection(
  rounds: Rounds,
  signal: AbortSignal,
): Promise<OnlyOne | null> {
  const visit = new Visit(rounds, 'connections', signal)
  try {
    const once = await tried(visit, rounds.first)
    if (once === null) return null
    const again = await tried(visit, rounds.first)
    return again?.ends === once.ends ? again : null
  } catch {
    // It was ended, or the time is up: the questions find that out.
    return null
  } finally {
    await visit.end()
  }
}

async function tried(visit: Visit, first: Peer): Promise<OnlyOne | null> {
  const older = first.ended === null ? first : await visit.open()
  const newer = await visit.tryOpen()
  const isNewer = newer.connack !== null && (await newer.roundTrip()) !== null
  const isOlder = (await older.roundTrip()) !== null
  const { ended: cause } = isNewer ? older : newer
  await newer.close()
  if (isNewer === isOlder) return null
  const answer = cause === null ? 'there was no answer' : reasonWords(cause)
  const what = isNewer
    ? 'the first one was closed when a second one was opened'
    : `a second one was ${newer.connack === null ? 'not accepted' : 'closed'}`
  const remedy = 'let this user have ten at the same time, or give the doctor another user'
  const message = `the broker allows this user one connection: ${what} (${answer}); ${remedy}`
  return { ends: isNewer ? 'first' : 'second', message, cause }
}
