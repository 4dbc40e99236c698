/**
 * Which of the messages of a bus does `inspect` write, and how? They come from other processes, so
 * what a terminal would obey is escaped.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  type InspectedEvent,
  type InspectedLetter,
  type InspectedSchema,
  loadSchema,
  type SchemaCheck,
} from '../../bus/index.ts'
import { safeText } from '../top/safe-text.ts'
import { payloadText } from '../top/value-text.ts'
import { counted, duration } from '../words.ts'
import type { InspectFlags, InspectFormat, WantedValue } from './inspect-flags.ts'

/** A message, and what is known of it. */
export interface InspectedMessage {
  readonly what: InspectedEvent | InspectedLetter | InspectedSchema
  readonly payload: Uint8Array
  readonly isRetained: boolean
  /** The time, in ms since 1970. */
  readonly now: number
  /** Whether it fits the schema documents at the server; null if nobody asks. */
  readonly validity: SchemaCheck | null
}

/** More bytes than this of a value are not written for people. */
const SHOWN_BYTES_MAX = 4096
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns what says whether a message is to be written. */
export function inspectSelector(flags: InspectFlags): (shown: InspectedMessage) => boolean {
  const { event, id, where = [] } = flags
  const name = event === undefined ? null : globOf(event)
  return ({ what, payload }) => {
    if (what.kind === 'schema') return true
    if (name !== null && !name.test(what.event)) return false
    if (id !== undefined && what.id !== id) return false
    if (where.length === 0) return true
    const { value } = valueIn(payload)
    return where.every((wanted) => hasValue(value, wanted))
  }
}

function globOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[\\^$.+()|[\]{}]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`)
}

function hasValue(whole: unknown, { path, text }: WantedValue): boolean {
  let value = whole
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return false
    value = (value as Readonly<Record<string, unknown>>)[name]
  }
  return value === text || isDeepStrictEqual(value, jsonOrNothing(text))
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** @returns the value of a payload, or its text, or its bytes. */
export function valueIn(payload: Uint8Array): { value?: unknown; text?: string; base64?: string } {
  const { text, base64 } = undecodedIn(payload)
  if (text === undefined) return base64 === undefined ? {} : { base64 }
  const value = jsonOrNothing(text)
  return value === undefined ? { text } : { value }
}

function undecodedIn(payload: Uint8Array): { text?: string; base64?: string } {
  if (payload.length === 0) return {}
  try {
    return { text: UTF8.decode(payload) }
  } catch {
    return { base64: Buffer.from(payload).toString('base64') }
  }
}

/** @returns what is written of a message. */
export function inspectedText(shown: InspectedMessage, format: InspectFormat): string {
  if (format === 'human') return `${safeText(wordsOf(shown).join('  '))}\n`
  const indent = format === 'pretty' ? 2 : 0
  try {
    return `${JSON.stringify(inspectedJson(shown, valueIn), null, indent)}\n`
  } catch {
    // A value of very many levels can be read, and not be written.
    return `${JSON.stringify(inspectedJson(shown, undecodedIn), null, indent)}\n`
  }
}

function inspectedJson(
  { what, payload, isRetained, now, validity }: InspectedMessage,
  partsOf: (payload: Uint8Array) => object,
): object {
  const checked = validity === null ? {} : { validity }
  const common = { retained: isRetained, bytes: payload.length, ...checked }
  if (what.kind === 'schema') return { ...what, ...common, ...documentIn(payload) }
  const { firedAt } = what
  const time =
    firedAt === null
      ? { firedAt, ageMs: null }
      : { firedAt: new Date(firedAt).toISOString(), ageMs: now - firedAt }
  return { ...what, ...time, ...common, ...partsOf(payload) }
}

/** @returns the document of a payload, or what is wrong with it; of an empty one neither. */
function documentIn(payload: Uint8Array): { document?: object; fault?: string } {
  if (payload.length === 0) return {}
  try {
    return { document: loadSchema(payload) }
  } catch (error) {
    return { fault: (error as Error).message }
  }
}

function wordsOf(shown: InspectedMessage): readonly string[] {
  const { what, payload, isRetained, now, validity } = shown
  if (what.kind === 'schema') return [...schemaWords(what, payload), ...validityWords(validity)]
  const isEvent = what.kind === 'event'
  const place = isEvent ? [] : [`${what.service}.${what.listener}`]
  const { api, event, version, id, by, firedAt } = what
  const name = isEvent ? `${api} v${what.major}` : api
  const age = firedAt === null ? [] : [`${duration(now - firedAt)} old`]
  return [
    ...[what.kind, ...place, `${name} ${event}`],
    ...(isEvent && what.key !== null ? [`key ${what.key}`] : []),
    ...(id === null ? [] : [`id ${id}`]),
    ...(by === null ? [] : [`by ${by}`]),
    ...(version === null ? [] : [version]),
    ...age,
    counted(payload.length, 'byte'),
    ...(isRetained ? ['retained'] : []),
    ...(isEvent ? [] : letterWords(what)),
    ...validityWords(validity),
    payloadText(payload.subarray(0, SHOWN_BYTES_MAX), payload.length),
  ]
}

function validityWords(validity: SchemaCheck | null): readonly string[] {
  if (validity === null) return []
  const { verdict, issues, unchecked, reason } = validity
  const places = issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  const more = [
    ...(reason === null ? [] : [reason]),
    ...places,
    ...(unchecked.length === 0 ? [] : [`not checked: ${unchecked.join(', ')}`]),
  ]
  return [more.length === 0 ? verdict : `${verdict} (${more.join('; ')})`]
}

function letterWords({ code, message, redriven }: InspectedLetter): readonly string[] {
  const reason = [code, message].filter((part) => part !== null).join(': ')
  const times = redriven === 0 ? [] : [`put back ${counted(redriven, 'time')}`]
  return [...times, ...(reason === '' ? [] : [reason])]
}

function schemaWords({ api, major, service }: InspectedSchema, payload: Uint8Array) {
  const { document, fault } = documentIn(payload)
  const head = ['schema', `${api} v${major} of ${service}`]
  if (document === undefined) return [...head, fault ?? 'removed']
  const { version, rpcs, events } = loadSchema(payload)
  const listed = (what: string, names: readonly string[]) =>
    names.length === 0 ? [] : [`${what} ${names.join(', ')}`]
  return [
    ...[...head, version, counted(payload.length, 'byte')],
    ...listed('rpcs', Object.keys(rpcs)),
    ...listed('events', Object.keys(events)),
  ]
}
