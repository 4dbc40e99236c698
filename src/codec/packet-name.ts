/**
 * What can be said of a packet that cannot be decoded? Its type, and its topic and packet
 * identifier as far as they came and make sense.
 */
import type { Bytes } from '#bytes'
import type { PacketName } from '../protocol/facts.ts'

/** The packets of a server by the upper four bits of their first byte. */
const COMMANDS: Readonly<Record<number, PacketName['cmd']>> = {
  2: 'connack',
  3: 'publish',
  4: 'puback',
  5: 'pubrec',
  6: 'pubrel',
  7: 'pubcomp',
  9: 'suback',
  11: 'unsuback',
  13: 'pingresp',
  14: 'disconnect',
  15: 'auth',
}

/** The types of packets that begin with a packet identifier. */
const NUMBERED: ReadonlySet<PacketName['cmd']> = new Set([
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
])

/** A topic is named up to this many bytes. */
const TOPIC_BYTES_MAX = 200

/** @returns what is known of the packet that begins at `start`. The bytes may end within it. */
export function packetNameOf(bytes: Bytes, start: number): PacketName {
  const first = bytes[start] ?? 0
  const cmd = COMMANDS[first >> 4] ?? 'unknown'
  let at = start + 1
  while (at < start + 4 && (bytes[at] ?? 0) >= 0x80) at++
  if (cmd === 'connack') return { cmd, remainingLength: bytes[start + 1] ?? 0 }
  at++
  if (NUMBERED.has(cmd)) return { cmd, messageId: sixteenBits(bytes, at) }
  if (cmd !== 'publish') return { cmd }
  const end = at + 2 + sixteenBits(bytes, at)
  const shown = bytes.subarray(at + 2, Math.min(end, at + 2 + TOPIC_BYTES_MAX))
  const topic = new TextDecoder().decode(shown)
  return { cmd, topic, messageId: (first & 6) === 0 ? 0 : sixteenBits(bytes, end) }
}

function sixteenBits(bytes: Bytes, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
