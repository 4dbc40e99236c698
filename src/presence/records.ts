/**
 * What lies on the server, and what may a stranger's record say? Topics and payloads of presence,
 * both ways; docs/WIRE.md has them with their bytes. What is wrong in any way is null, and never an
 * error: everybody may write to these topics. (H7, wrong records are counted and ignored)
 */
import { json } from '../client/index.ts'

/** What a connection says of itself, or its will. */
export interface ConnectionRecord {
  readonly state: 'up' | 'down' | 'lost'
  /** The number of the CONNECT attempt, from 1. */
  readonly epoch: number
  /** Counts the records of the connection, from 1; 0 in a will, which has none. */
  readonly seq: number
  /** The client identifier, for people; empty if it was not known. */
  readonly client: string
  /** After how many seconds without a sign the connection is lost; 0: never. */
  readonly ttl: number
}

/** What a connection says of one member. */
export interface MemberRecord {
  readonly epoch: number
  readonly seq: number
  readonly data: unknown
  /** Whether it is the farewell of the member. */
  readonly left: boolean
}

/** Whose a member's topic is. */
export interface MemberTopic {
  readonly client: string
  readonly connection: string
}

const RECORD_VERSION = 1
const utf8 = new TextEncoder()
/** The names of connections: 12 bytes. */
const CONNECTION_PATTERN = /^[0-9a-f]{24}$/
const CONNECTION_BYTES = 12
/** The last two code points of each of the 17 planes, which are no characters. */
const PLANE_ENDS = Array.from({ length: 17 }, (_, plane) =>
  String.fromCodePoint(plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff),
).join('')
/**
 * What MQTT lets a server close the connection for: control characters, and code points that are
 * no characters. (1.5.4)
 */
const UNSAFE = `\\u0000-\\u001f\\u007f-\\u009f\\ufdd0-\\ufdef${PLANE_ENDS}`
/** What a level may not have as it is, and the mark of what is encoded. */
const RESERVED = new RegExp(`[%/+#${UNSAFE}]`, 'gu')
/** What a record has beside its data, in bytes, at most. */
const ENVELOPE_BYTES = 4096
/** How much of a client identifier a connection's record shows. */
const SHOWN_MAX = 256
/** The longest `ttl` that is believed, in seconds. */
export const TTL_MAX = 604_800

/** @returns whether a text has what a server may close the connection for. */
export function isUnsafe(text: string): boolean {
  return new RegExp(`[${UNSAFE}]`, 'u').test(text)
}

/** @returns a name as one level of a topic: what it may not have is percent-encoded UTF-8. */
export function levelOf(name: string): string {
  return name.replace(RESERVED, encodeURIComponent)
}

/** @returns the name that a level has, or null: each name has one level only. */
function memberNameOf(level: string): string | null {
  if (level === '') return null
  try {
    const name = decodeURIComponent(level)
    return levelOf(name) === level ? name : null
  } catch {
    return null
  }
}

/** @returns a name for a new connection. */
export function newConnection(random: () => number): string {
  const bytes = Array.from({ length: CONNECTION_BYTES }, () => Math.floor(random() * 256))
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** @returns whether a text can be the name of a connection. */
function isConnection(text: string): boolean {
  return CONNECTION_PATTERN.test(text)
}

export function connectionTopic(prefix: string, connection: string): string {
  return `${prefix}/c/${connection}`
}

/** @returns the beginning of the topics of all members of a space. */
export function spaceTopic(prefix: string, space: string): string {
  return `${prefix}/s/${levelOf(space)}/`
}

export function memberTopic(prefix: string, space: string, member: MemberTopic): string {
  return `${spaceTopic(prefix, space)}${levelOf(member.client)}/${member.connection}`
}

/** @param begin what `spaceTopic` returned. @returns whose a topic is, or null. */
export function readMemberTopic(begin: string, topic: string): MemberTopic | null {
  if (!topic.startsWith(begin)) return null
  const [level, connection, ...rest] = topic.slice(begin.length).split('/')
  if (connection === undefined || rest.length > 0 || !isConnection(connection)) return null
  const client = memberNameOf(level!)
  return client === null ? null : { client, connection }
}

/** @returns the connection whose topic it is, or null. */
export function readConnectionTopic(prefix: string, topic: string): string | null {
  const begin = `${prefix}/c/`
  const connection = topic.slice(begin.length)
  return topic.startsWith(begin) && isConnection(connection) ? connection : null
}

/** @returns the payload of a connection's record. */
export function writeConnection(record: ConnectionRecord): string {
  const { state, epoch, seq, client, ttl } = record
  const name = client === '' ? undefined : client.slice(0, SHOWN_MAX)
  const count = state === 'lost' ? undefined : seq
  return JSON.stringify({ v: RECORD_VERSION, epoch, seq: count, state, client: name, ttl })
}

/** @param dataText the data as JSON; undefined: none. @returns the payload of a member's record. */
export function writeMember(
  { epoch, seq, left }: Omit<MemberRecord, 'data'>,
  dataText: string | undefined,
): string {
  const head = `{"v":${RECORD_VERSION},"epoch":${epoch},"seq":${seq}`
  const farewell = left ? ',"left":true' : ''
  return dataText === undefined ? `${head}${farewell}}` : `${head}${farewell},"data":${dataText}}`
}

/** @returns what the record of a connection says, or null if it is no valid one. */
export function readConnection(payload: Uint8Array): ConnectionRecord | null {
  const fields = readFields(payload, ENVELOPE_BYTES)
  if (fields === null) return null
  const { epoch, seq, state, ttl, client = '' } = fields
  if (!isCount(epoch) || typeof client !== 'string') return null
  if (!Number.isInteger(ttl) || (ttl as number) < 0 || (ttl as number) > TTL_MAX) return null
  const rest = { epoch, client, ttl: ttl as number }
  if (state === 'lost') return { state, seq: 0, ...rest }
  return (state === 'up' || state === 'down') && isCount(seq) ? { state, seq, ...rest } : null
}

/**
 * @param maxData how many bytes its data may have.
 * @returns what the record of a member says, or null if it is no valid one.
 */
export function readMember(payload: Uint8Array, maxData: number): MemberRecord | null {
  const fields = readFields(payload, maxData + ENVELOPE_BYTES)
  if (fields === null) return null
  const { epoch, seq, data, left = false } = fields
  if (!isCount(epoch) || !isCount(seq) || typeof left !== 'boolean') return null
  // The data of a message is smaller than the message.
  if (payload.length > maxData && isLarger(data, maxData)) return null
  return { epoch, seq, data, left }
}

/** Whether data has more bytes as JSON than are allowed: as its sender would write it. */
function isLarger(data: unknown, maxData: number): boolean {
  if (data === undefined) return false
  return utf8.encode(JSON.stringify(data)).length > maxData
}

/** @returns the fields of a record of the version that is known; long ones are not parsed. */
function readFields(payload: Uint8Array, bytesMax: number): Record<string, unknown> | null {
  if (payload.length > bytesMax) return null
  let value: unknown
  try {
    value = json.decode(payload, { topic: '' })
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const fields = value as Record<string, unknown>
  return fields['v'] === RECORD_VERSION ? fields : null
}

/** Whether it counts something, from 1; beyond 2^53 - 1 numbers are not exact. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}
