/**
 * What is the user told when the loop does not get on? The cause, the server, and what was the
 * first thing open each time (D6, one bad request never stalls the others).
 */
import type { Effect } from '../protocol/contract.ts'
import type { FirstOpen } from '../protocol/progress-state.ts'
import type { Ledger } from '../requests/ledger.ts'
import { nameOfRequest, quoted } from '../requests/request-name.ts'
import type { Parts } from './parts.ts'
import { endpointFor } from './where.ts'

export function noProgressMessage(
  loop: Parts,
  { losses, reason, first }: Extract<Effect, { type: 'noProgress' }>,
): string {
  const where = endpointFor(loop)
  const what = first === null ? 'nothing' : openName(first, loop.ledger)
  return (
    `No progress with ${where}: ${losses} connections or attempts in a row ended in the same way,` +
    ` and nothing was settled or delivered in between. First open: ${what}.` +
    ` The last cause (${reason.code}): ${reason.message}`
  )
}

const DELIVERIES = {
  open: 'a message from the server',
  refused: 'a message from the server that cannot be accepted,',
  acknowledged: 'nothing; the last message that was acknowledged was one',
} as const satisfies Record<Extract<FirstOpen, { kind: 'delivery' }>['state'], string>

function openName(first: FirstOpen, ledger: Ledger): string {
  switch (first.kind) {
    case 'request':
      return nameBehind(first.handle, ledger)
    case 'renewal': {
      const others = first.filters > 1 ? ` and ${first.filters - 1} others` : ''
      return `the renewal of the subscription ${quoted(first.filter)}${others}`
    }
    case 'delivery': {
      const id = first.messageId > 0 ? `, packet identifier ${first.messageId}` : ''
      return `${DELIVERIES[first.state]} to ${quoted(first.topic)}${id}`
    }
  }
}

function nameBehind(handle: number, ledger: Ledger): string {
  const request = ledger.get(handle)?.request
  return request === undefined ? 'a request' : nameOfRequest(request)
}
