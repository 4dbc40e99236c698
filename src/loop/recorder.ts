/**
 * The recorder: keeps the last inputs of the reducers and the state before the oldest of them, from
 * which everything that followed can be computed again.
 *
 * States and inputs are never changed once they are made, so the recorder only keeps references to
 * them. They become text only on request. Bytes (payloads, correlation data, authentication data)
 * are written as their length unless the user wants to see them; the reducers never look at more
 * than the length. Passwords and tokens of CONNECT never reach the reducers.
 */

import { allocate, base64Bytes, base64Text } from '#bytes'
import { UsageError } from '../errors.ts'
import type { RecorderOptions } from '../options/recorder-options.ts'
import { equal } from '../platform/equal.ts'
import type { Effect, Input } from '../protocol/contract.ts'
import { step } from '../protocol/engine.ts'
import type { State } from '../protocol/state.ts'

interface Entry {
  readonly before: State
  readonly inputs: readonly Input[]
  readonly effects: readonly Effect[]
  readonly after: State
}

const MAGIC = 'it-mqtt recording'
const RECORDING_FORMAT = 1

export class Recorder {
  readonly #options: RecorderOptions
  readonly #entries: Entry[] = []
  #weight = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  note(before: State, inputs: readonly Input[], effects: readonly Effect[], after: State): void {
    this.#entries.push({ before, inputs, effects, after })
    this.#weight += weightOf(inputs)
    while (this.#weight > this.#options.inputs && this.#entries.length > 1) {
      this.#weight -= weightOf(this.#entries.shift()!.inputs)
    }
  }

  fault(): void {
    this.#options.onFault?.(this.text())
  }

  /** NDJSON: a header, the state before the oldest input, the steps, the state at the end. */
  text(): string {
    const bytes = this.#options.bytes ?? false
    const lines = [JSON.stringify({ [MAGIC]: RECORDING_FORMAT, bytes })]
    const line = (value: object) => lines.push(JSON.stringify(plain(value, bytes)))
    let reached: State | null = null
    for (const { before, inputs, effects, after } of this.#entries) {
      // Between steps the state changes only when a session is loaded or a connection is taken
      // over.
      if (before !== reached) line({ state: before })
      line({ inputs, effects })
      reached = after
    }
    if (reached !== null) line({ end: reached })
    return `${lines.join('\n')}\n`
  }
}

function weightOf(inputs: readonly Input[]): number {
  let weight = 0
  for (const input of inputs) {
    if (input.type === 'received') weight += input.packets.length
    else if (input.type === 'requests') weight += input.requests.length
    else weight++
  }
  return weight
}

// --- replaying

/** A step of a recording, and the result of stepping it with the reducers of this version. */
export interface ReplayedStep {
  /** The line of the recording, counted from 1. */
  readonly line: number
  /** The recorded inputs of the step. */
  readonly inputs: readonly Input[]
  /** The effects that this version decides. */
  readonly effects: readonly Effect[]
  /** The state before the step. */
  readonly before: State
  /** The state after the step. */
  readonly after: State
  /**
   * `effects` if the effects of this step differ from the recording, `end` if the state at the end
   * does, or null.
   */
  readonly differs: 'effects' | 'end' | null
}

/**
 * Computes a recording again, step by step. The last step also compares the state at the end.
 * @throws UsageError, with the line, for a text that is no recording.
 */
export function* replay(text: string): Generator<ReplayedStep> {
  const lines = text.trimEnd().split('\n')
  const header = parseLine(lines[0] ?? '', 1)
  if (header[MAGIC] !== RECORDING_FORMAT) {
    throw new UsageError(
      `recording: line 1 is not the header of a recording of format ${RECORDING_FORMAT}`,
    )
  }
  const bytes = header['bytes'] === true
  let state: State | null = null
  let last = null as ReplayedStep | null
  for (const [index, source] of lines.entries()) {
    if (index === 0) continue
    const line = index + 1
    const recorded = parseLine(source, line)
    if ('state' in recorded) state = revive(recorded['state']) as State
    else if (state === null) throw new UsageError(`recording: line ${line} has no state before it`)
    else if ('end' in recorded) {
      const same = equal(asRecorded(state, bytes), recorded['end'])
      if (last !== null) last = { ...last, differs: last.differs ?? (same ? null : 'end') }
    } else {
      if (last !== null) yield last
      const before: State = state
      const inputs = revive(recorded['inputs']) as readonly Input[]
      const result = step(before, inputs)
      const same = equal(asRecorded(result.effects, bytes), recorded['effects'])
      state = result.state
      const { effects } = result
      last = { line, inputs, effects, before, after: state, differs: same ? null : 'effects' }
    }
  }
  if (last !== null) yield last
}

function parseLine(line: string, number: number): Record<string, unknown> {
  try {
    const value = JSON.parse(line) as unknown
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Reported below.
  }
  throw new UsageError(`recording: line ${number} is not an object of JSON`)
}

function asRecorded(value: unknown, bytes: boolean): unknown {
  return JSON.parse(JSON.stringify(plain(value, bytes)))
}

// --- text

/** The fields that the loop adds to a packet before it yields it. */
const ADDED: ReadonlySet<string> = new Set(['request', 'deliveryId', 'redelivered'])

/**
 * @returns a value as JSON can hold it: infinite numbers, bytes, and arrays with holes become
 *   objects with a `$` field.
 */
function plain(value: unknown, bytes: boolean): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) {
    return bytes ? { $bytes: base64Text(value) } : { $length: value.length }
  }
  if (Array.isArray(value)) {
    if (!value.includes(undefined)) return value.map((item) => plain(item, bytes))
    const held = [...value.entries()].filter(([, item]) => item !== undefined)
    return { $size: value.length, at: held.map(([i, item]) => [i, plain(item, bytes)]) }
  }
  const isPacket = 'cmd' in value
  const entries = Object.entries(value)
    .filter(([name, one]) => one !== undefined && !(isPacket && ADDED.has(name)))
    .map(([name, one]) => [name, plain(one, bytes)])
  return Object.fromEntries(entries)
}

function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(revive)
  const tagged = value as { $number?: string; $bytes?: string; $length?: number; $size?: number }
  if (tagged.$number !== undefined) return Number(tagged.$number)
  if (tagged.$bytes !== undefined) return base64Bytes(tagged.$bytes)
  if (tagged.$length !== undefined) return allocate(tagged.$length)
  if (tagged.$size !== undefined) {
    const array = new Array<unknown>(tagged.$size).fill(undefined)
    const { at } = value as unknown as { readonly at: readonly [number, unknown][] }
    for (const [i, item] of at) array[i] = revive(item)
    return array
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revive(one)]))
}
