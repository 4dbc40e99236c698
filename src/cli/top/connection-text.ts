/**
 * How is the state of a connection said in a few words?
 */
import type { LoopState } from '../../index.ts'
import { oneLine } from '../fail.ts'

const VERSION_NAMES = { 5: 'MQTT 5', 4: 'MQTT 3.1.1', 3: 'MQTT 3.1' } as const

/** @param now on the clock of the loop, in ms. */
export function connectionText(
  { connection, counters }: Pick<LoopState, 'connection' | 'counters'>,
  now: number,
): string {
  const { kind, reason, retryAt, protocolVersion } = connection
  const why = reason === null ? '' : `: ${oneLine(reason.message)}`
  switch (kind) {
    case 'idle':
    case 'connecting':
      return `connecting${why}`
    case 'connected': {
      const lost = Object.values(counters.reconnections).reduce((sum, one) => sum + one, 0)
      const again = lost === 0 ? '' : `, lost ${lost === 1 ? 'once' : `${lost} times`} before`
      return `connected (${VERSION_NAMES[protocolVersion]})${again}`
    }
    case 'disconnected':
    case 'suspended': {
      if (retryAt === null) return `connection lost${why}`
      const seconds = Math.max(0, Math.ceil((retryAt - now) / 1000))
      return `connection lost, next attempt in ${seconds} s${why}`
    }
    default:
      return 'ending'
  }
}
