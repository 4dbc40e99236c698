/**
 * How does a loop go on with a saved session? The requests of the record get handles, and the
 * reducers a state that speaks of these handles.
 */
import type { RequestFacts } from '../protocol/facts.ts'
import { initialSession } from '../protocol/initial.ts'
import { TableEditor } from '../protocol/packet-table.ts'
import type { SessionState } from '../protocol/session-state.ts'
import { restoreSubscriptions } from '../protocol/subscriptions.ts'
import { MESSAGE_IDS, SUSPECT } from '../protocol/window.ts'
import type { HeldRecord, SessionRecord } from './session-records.ts'

/**
 * @param enter takes a held request and returns its facts, with its handle.
 * @returns the state from which the reducers go on.
 */
export function restoreState(
  record: SessionRecord,
  enter: (held: HeldRecord) => RequestFacts,
): SessionState {
  const { clientId, protocolVersion, nextMessageId, nextOrder, nextDeliveryId } = record
  return {
    ...initialSession(clientId),
    protocolVersion,
    ...restoreHeld(record.held, enter),
    nextMessageId,
    nextOrder,
    // Without a strike in isolation, another loss must show that the suspicion was right.
    cautious: record.held.some(({ strikes }) => strikes > SUSPECT),
    filtersGranted: record.filtersGranted ?? 1,
    received: restoreReceived(record),
    nextDeliveryId,
    subscriptions: restoreSubscriptions(record.subscriptions),
    subscriptionCount: record.subscriptions.length,
    adopted: record.adopted,
    doubtfulIds: record.doubtfulIds ?? (record.adopted ? MESSAGE_IDS : 0),
  }
}

/** Requests that have a packet identifier, and those that wait for one. */
function restoreHeld(
  held: readonly HeldRecord[],
  enter: (held: HeldRecord) => RequestFacts,
): Pick<SessionState, 'open' | 'owed' | 'waiting' | 'waitingExpiresAt'> {
  const open = new TableEditor(initialSession('').open)
  const waiting = []
  let waitingExpiresAt = Number.POSITIVE_INFINITY
  let owed = 0
  const never = { epoch: 0, touchedEpoch: 0, sentAt: 0 }
  for (const one of held) {
    const facts = enter(one)
    const { order, strikes, stage, settled, messageId } = one
    if (stage === 'waiting') {
      waiting.push({ facts, order, strikes })
      if (facts.kind === 'publish' && facts.expiresAt > 0) {
        waitingExpiresAt = Math.min(waitingExpiresAt, facts.expiresAt)
      }
      continue
    }
    if (!settled) owed++
    open.set(messageId, { facts, stage, order, ...never, strikes, settled })
  }
  return { open: open.finish(), owed, waiting, waitingExpiresAt }
}

function restoreReceived(record: SessionRecord): SessionState['received'] {
  const received = new TableEditor(initialSession('').received)
  for (const { messageId, deliveryId, stage, again } of record.received) {
    received.set(messageId, { deliveryId, sequence: 0, pendingSequence: 0, stage, again })
  }
  return received.finish()
}
