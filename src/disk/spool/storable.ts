/**
 * Which requests can a spool store? Those that the loop would accept, except controls and requests
 * with a key or a signal.
 */
import { UsageError } from '../../errors.ts'
import { prepare } from '../../requests/prepare.ts'
import type { SentRequest } from '../../requests/vocabulary.ts'
import { requestBytes } from '../store/request-size.ts'
import type { ResolvedSpool } from './spool-options.ts'

/**
 * In `spill` mode the other checks follow when the request is written to disk, or when the loop
 * takes it.
 *
 * @param index The place of the request in its push, or -1 if it was pushed alone.
 * @throws UsageError if the spool cannot take the request.
 */
export function checkPushed(
  request: SentRequest,
  index: number,
  { mode, maxBytes }: ResolvedSpool,
): void {
  const fault = mode === 'durable' ? faultOf(request) : storageFaultOf(request)
  const bytes = fault === null && maxBytes < Infinity ? requestBytes(request) : 0
  if (fault === null && bytes <= maxBytes) return
  const where = index < 0 ? 'spool' : `spool: request ${index} of the push`
  const what = fault?.message ?? `it has ${bytes} bytes and maxBytes is ${maxBytes}`
  throw new UsageError(`${where}: ${what}`, { cause: fault })
}

/** @returns what is wrong with the request, or null if it can be stored. */
export function faultOf(request: SentRequest): Error | null {
  try {
    return prepare(request, 5).kind === 'control' ? controlFault() : storageFaultOf(request)
  } catch (error) {
    return error as Error
  }
}

/**
 * @returns what a spool refuses and a loop would accept, or null if the spool can store the
 *   request.
 */
function storageFaultOf(request: SentRequest): Error | null {
  if (typeof request !== 'object' || request === null) return faultOf(request)
  const { cmd, key, signal } = request
  if (cmd !== 'publish' && cmd !== 'subscribe' && cmd !== 'unsubscribe') return faultOf(request)
  if (key !== undefined) {
    return new UsageError(
      'key: a spool names its requests itself; put a name of yours into a property',
    )
  }
  return signal === undefined ? null : new UsageError('signal: it cannot be kept on disk')
}

function controlFault(): UsageError {
  return new UsageError(
    'a control cannot be kept on disk; give it to the loop, in its stream of controls',
  )
}
