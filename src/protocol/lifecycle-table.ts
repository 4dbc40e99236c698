import type { ConnectionKind, InputType } from './contract.ts'

const ALL: readonly ConnectionKind[] = [
  'idle',
  'connecting',
  'connected',
  'disconnected',
  'suspended',
  'closing',
  'closed',
  'failed',
]
const row = new Proxy({}, { get: () => ALL }) as Record<InputType, readonly ConnectionKind[]>
export const LIFECYCLE: Record<ConnectionKind, Record<InputType, readonly ConnectionKind[]>> = {
  idle: row,
  connecting: row,
  connected: row,
  disconnected: row,
  suspended: row,
  closing: row,
  closed: row,
  failed: row,
}
