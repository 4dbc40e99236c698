/** What becomes of a will, above all when another connection takes the session over? */
import type { WillOptions } from '../index.ts'
import type { Peer } from './peer.ts'
import type { DoctorQuestion } from './question.ts'
import { hasPayload, NotKnown, type PeerChoice, type Visit } from './visit.ts'

/** How long a will may take, in ms, that is due immediately. */
const WILL_MS = 2000
/** How much longer it is waited for, so that one that is late is not taken for lost, in ms. */
const LATE_MS = 4000
/** The Will Delay Interval in seconds. */
const DELAY_S = 2

function willTo(visit: Visit, payload: string, delay?: number): WillOptions {
  const properties = delay === undefined ? {} : { properties: { willDelayInterval: delay } }
  return { topic: visit.topic(payload), payload, qos: 1, ...properties }
}

async function watcherOf(visit: Visit): Promise<Peer> {
  const watcher = await visit.open()
  await visit.grant(watcher, visit.topic('+'), 1)
  return watcher
}

/**
 * Opens a connection, and a second one that takes its session over.
 * @returns the second one.
 */
async function takenOver(visit: Visit, before: PeerChoice, after: PeerChoice): Promise<Peer> {
  const id = visit.newId()
  const older = await visit.open({ ...before, id })
  const newer = await visit.open({ ...after, id })
  const isClosed = () => older.ended !== null
  if (!(await older.until(isClosed))) throw new NotKnown('the older connection was not closed')
  return newer
}

/**
 * Cuts a connection, whose will has to come: where no will comes, or the watcher may not read them,
 * the absence of another one says nothing.
 */
async function expectWill(visit: Visit, watcher: Peer, peer: Peer, payload: string): Promise<void> {
  await peer.cut()
  await visit.comes(watcher, 'a will without delay', () => hasPayload(watcher.messages, payload))
}

export const WILL: DoctorQuestion = {
  id: 'will',
  question: 'Is the will of a lost connection published?',
  waits: true,
  async run(visit) {
    const watcher = await watcherOf(visit)
    const dying = await visit.open({ will: willTo(visit, 'will') })
    await dying.cut()
    const isThere = () => hasPayload(watcher.messages, 'will')
    const inTime = await watcher.until(isThere, WILL_MS + visit.absenceMs)
    const way = { sender: watcher, topic: visit.topic('will') }
    const came = inTime || (await visit.mayCome(watcher, isThere, way, LATE_MS))
    return {
      answer: inTime ? 'yes' : `not within ${WILL_MS / 1000} s`,
      reliable: inTime,
      meaning: inTime
        ? 'Others learn that a client is gone.'
        : 'Nobody learns in time that a client is gone; let clients say that they are there.',
      // One that is late is neither published in time nor lost.
      profile: inTime || !came ? { willPublished: inTime } : {},
    }
  },
}

export const WILL_TAKEOVER: DoctorQuestion = {
  id: 'will-takeover',
  question: 'Which will is published when another connection takes the session over?',
  async run(visit) {
    const watcher = await watcherOf(visit)
    const { messages } = watcher
    const old = { keeps: true, will: willTo(visit, 'old') }
    const newer = await takenOver(visit, old, { keeps: true, will: willTo(visit, 'new') })
    await watcher.until(() => hasPayload(messages, 'new'), WILL_MS)
    const isNew = hasPayload(messages, 'new')
    if (!isNew) await expectWill(visit, watcher, newer, 'new')
    const isOld = hasPayload(messages, 'old')
    return {
      answer: isNew ? 'that of the new connection' : isOld ? 'that of the older one' : 'none',
      reliable: isOld && !isNew,
      meaning: isNew
        ? 'A client is reported lost although it lives; it has to say again that it is there.'
        : isOld
          ? 'A client that reconnects is reported lost first; a will delay avoids that.'
          : 'A takeover is not reported; only a connection that ends without one is.',
      profile: { willOnTakeover: isNew ? 'new' : isOld },
    }
  },
}

export const WILL_DELAYED: DoctorQuestion = {
  id: 'will-takeover-delay',
  question: 'Is a will with a delay withheld if the session goes on in time?',
  needs5: true,
  waits: true,
  async run(visit) {
    const watcher = await watcherOf(visit)
    const { messages } = watcher
    const newer = await takenOver(
      visit,
      { keeps: true, will: willTo(visit, 'delayed', DELAY_S) },
      { keeps: true, will: willTo(visit, 'plain') },
    )
    const isThere = () => hasPayload(messages, 'delayed')
    const isSoon = await watcher.until(isThere, DELAY_S * 500)
    await watcher.until(isThere, DELAY_S * 1000)
    if (!isThere()) await expectWill(visit, watcher, newer, 'plain')
    const came = isThere()
    return {
      answer: !came ? 'yes' : isSoon ? 'no: it comes immediately' : 'no: it comes after the delay',
      reliable: !came,
      meaning: came
        ? 'A client that reconnects is reported lost, whatever its will delay.'
        : 'With a will delay, a short interruption is not reported.',
      profile: { willDelayObeyed: !came },
    }
  },
}

export const WILL_AT_END: DoctorQuestion = {
  id: 'will-session-end',
  question: 'Is a will with a delay published as soon as its session ends?',
  needs5: true,
  async run(visit) {
    const watcher = await watcherOf(visit)
    const { messages } = watcher
    // Its Session Expiry Interval is 0, so the session ends when the next one begins.
    const after = { will: willTo(visit, 'plain') }
    const newer = await takenOver(visit, { will: willTo(visit, 'ended', 60) }, after)
    const came = await watcher.until(() => hasPayload(messages, 'ended'), WILL_MS + visit.absenceMs)
    if (!came) await expectWill(visit, watcher, newer, 'plain')
    return {
      answer: came ? 'yes' : `not within ${WILL_MS / 1000} s`,
      reliable: came,
      meaning: came
        ? 'A will delay never outlasts the session.'
        : 'The end of a session is reported late or never; do not wait for the will alone.',
      profile: { willAtSessionEnd: came },
    }
  },
}
