/** How the kinds of a connection are called and coloured. */
import type { ConnectionKind } from 'it-mqtt'

export type Tone = 'calm' | 'busy' | 'good' | 'bad'

export const KINDS: Readonly<
  Record<ConnectionKind, { readonly name: string; readonly tone: Tone }>
> = {
  idle: { name: 'not started', tone: 'calm' },
  connecting: { name: 'connecting', tone: 'busy' },
  connected: { name: 'connected', tone: 'good' },
  disconnected: { name: 'waiting to reconnect', tone: 'bad' },
  suspended: { name: 'waiting longer', tone: 'bad' },
  closing: { name: 'closing', tone: 'calm' },
  closed: { name: 'closed', tone: 'calm' },
  failed: { name: 'ended', tone: 'bad' },
}
