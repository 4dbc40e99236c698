/**
 * What does `-d` write? Each packet that is sent or received, in one line on standard error. It
 * says how long a payload is, and not what is in it.
 */
import { subscribe } from 'node:diagnostics_channel'
import { say } from './fail.ts'

interface Shown {
  readonly direction: 'sent' | 'received'
  readonly packet: Readonly<Record<string, unknown>> & { readonly cmd: string }
}

/** Fields that are left out, because every line has them, or nobody else should read them. */
const HIDDEN = ['cmd', 'payload', 'length', 'protocolId', 'request', 'password', 'topic']

/** Writes every packet of every loop of this process from now on. */
export function showPackets(): void {
  subscribe('it-mqtt:packet', (message) => {
    const { direction, packet } = message as Shown
    say(`${direction} ${packetText(packet)}`)
  })
}

function packetText(packet: Shown['packet']): string {
  const { cmd, topic, payload } = packet
  const fields = Object.entries(packet)
    .filter(([name, value]) => !HIDDEN.includes(name) && value !== undefined && value !== false)
    .map(([name, value]) => `${name} ${valueText(value)}`)
  const bytes = payload === undefined ? [] : [`payload ${lengthOf(payload)} bytes`]
  const head = topic === undefined ? cmd.toUpperCase() : `${cmd.toUpperCase()} ${topic}`
  return [head, ...fields, ...bytes].join(', ')
}

function valueText(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'object' ? JSON.stringify(value, withoutBytes) : String(value)
}

function withoutBytes(name: string, value: unknown): unknown {
  if (name === 'payload' || name === 'password') return undefined
  const bytes = value as { readonly type?: string; readonly data?: readonly number[] } | null
  if (typeof value === 'object' && bytes?.type === 'Buffer') return `${bytes.data?.length} bytes`
  return value instanceof Uint8Array ? `${value.length} bytes` : value
}

function lengthOf(payload: unknown): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  return payload instanceof Uint8Array ? payload.length : 0
}
