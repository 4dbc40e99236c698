/**
 * May a schema document replace another one without breaking who has the old API? Input may only
 * widen, because old callers go on sending; output, errors and events may only narrow, because old
 * callers and listeners go on reading. What is not understood is `unknown`, never `compatible`.
 * (B13, what replaces a schema is compared with it)
 */
import { UsageError } from '../../index.ts'
import { inQuotes } from '../bus-names.ts'
import { checkFieldNames } from '../define-api.ts'
import { canonicalText } from './canonical-json.ts'
import type {
  DocumentedEvent,
  DocumentedRpc,
  DocumentedSchema,
  SchemaDocument,
} from './schema-types.ts'
import { subsetFindings } from './subset-check.ts'
import type { UndeclaredProperties } from './subset-types.ts'

/** What became of one place of a document, or of all of it. */
export type SchemaVerdict = 'same' | 'compatible' | 'breaking' | 'unknown'

/** One difference between two documents. */
export interface SchemaChange {
  /**
   * Where: a JSON Pointer into the document down to a schema, and from there into the values, such
   * as `/rpcs/check/input/name`. `*` stands for all other properties or items.
   */
  readonly path: string
  /** What it means for who has the old API. */
  readonly kind: 'compatible' | 'breaking' | 'unknown'
  /** What is different, for people. */
  readonly text: string
}

/** What `compareSchemas()` found. */
export interface SchemaComparison {
  /** The worst kind of its changes: `breaking`, then `unknown`, then `compatible`; else `same`. */
  readonly result: SchemaVerdict
  /** The differences. */
  readonly changes: readonly SchemaChange[]
}

/** The options of `compareSchemas()`. */
export interface CompareSchemasOptions {
  /**
   * Which properties an object may have that its schema neither names nor excludes. `any`: all that
   * JSON Schema allows, so that a new optional property of an input is `unknown`, since a caller
   * may have sent another value under that name. `absent`: nobody sends what a schema with
   * `properties` does not name. Default `any`.
   */
  readonly undeclared?: UndeclaredProperties | undefined
}

const FINDINGS_MAX = 20

/**
 * Compares two schema documents of an API. Versions and services may differ.
 * @param before what others have in code.
 * @param after what replaces it.
 * @throws UsageError if they are documents of different APIs.
 */
export function compareSchemas(
  before: SchemaDocument,
  after: SchemaDocument,
  options: CompareSchemasOptions = {},
): SchemaComparison {
  checkFieldNames('compareSchemas: options', options, ['undeclared'])
  const { undeclared = 'any' } = options
  if (undeclared !== 'any' && undeclared !== 'absent') {
    throw new UsageError('compareSchemas: undeclared must be one of any, absent')
  }
  for (const document of [before, after]) {
    if (document?.itm === 1) continue
    throw new UsageError('compareSchemas: two schema documents are needed, as dumpSchema() makes')
  }
  if (before.api !== after.api) {
    const names = `${inQuotes(before.api)} and ${inQuotes(after.api)}`
    throw new UsageError(`compareSchemas: the documents are of different APIs, ${names}`)
  }
  const comparer = new Comparer(undeclared)
  if (before.version !== after.version) {
    comparer.note('/version', 'compatible', `${before.version} becomes ${after.version}`)
  }
  comparer.tables('/rpcs', before.rpcs, after.rpcs, (path, a, b) => comparer.rpc(path, a, b))
  comparer.tables('/events', before.events, after.events, (path, a, b) =>
    comparer.event(path, a, b),
  )
  const { changes } = comparer
  const kinds = new Set(changes.map(({ kind }) => kind))
  const worst = (['breaking', 'unknown', 'compatible'] as const).find((kind) => kinds.has(kind))
  return Object.freeze({ result: worst ?? 'same', changes: Object.freeze(changes) })
}

/** Whose values travel: what the old side sends must fit the new schema, or the other way round. */
type Direction = 'toNew' | 'toOld'

class Comparer {
  readonly changes: SchemaChange[] = []
  readonly #undeclared: UndeclaredProperties

  constructor(undeclared: UndeclaredProperties) {
    this.#undeclared = undeclared
  }

  note(path: string, kind: SchemaChange['kind'], text: string): void {
    this.changes.push(Object.freeze({ path, kind, text }))
  }

  tables<T>(
    path: string,
    before: Readonly<Record<string, T>>,
    after: Readonly<Record<string, T>>,
    compare: (path: string, before: T, after: T) => void,
  ): void {
    for (const name of Object.keys(before).sort()) {
      const place = `${path}/${name}`
      if (Object.hasOwn(after, name)) compare(place, before[name]!, after[name]!)
      else this.note(place, 'breaking', 'it is gone')
    }
    for (const name of Object.keys(after).sort()) {
      if (!Object.hasOwn(before, name)) this.note(`${path}/${name}`, 'compatible', 'it is new')
    }
  }

  rpc(path: string, before: DocumentedRpc, after: DocumentedRpc): void {
    this.value(`${path}/input`, before.input, after.input, 'toNew')
    if (before.output === undefined && after.output !== undefined) {
      this.note(`${path}/output`, 'compatible', 'it is new; old callers pass over it')
    } else this.value(`${path}/output`, before.output, after.output, 'toOld')
    this.#errors(`${path}/errors`, before.errors ?? {}, after.errors ?? {})
    if (before.idempotent === after.idempotent) return
    const isNow = after.idempotent === true
    const text = isNow ? 'it is idempotent now' : 'old callers may send a call twice'
    this.note(`${path}/idempotent`, isNow ? 'compatible' : 'breaking', text)
  }

  #errors(
    path: string,
    before: Readonly<Record<string, DocumentedSchema>>,
    after: Readonly<Record<string, DocumentedSchema>>,
  ): void {
    for (const code of Object.keys(before).sort()) {
      if (Object.hasOwn(after, code)) {
        this.value(`${path}/${code}`, before[code], after[code], 'toOld')
      } else this.note(`${path}/${code}`, 'compatible', 'it does not occur any more')
    }
    for (const code of Object.keys(after).sort()) {
      if (Object.hasOwn(before, code)) continue
      this.note(`${path}/${code}`, 'breaking', 'old callers do not know this error')
    }
  }

  event(path: string, before: DocumentedEvent, after: DocumentedEvent): void {
    this.value(`${path}/payload`, before.payload, after.payload, 'toOld')
  }

  value(
    path: string,
    before: DocumentedSchema | undefined,
    after: DocumentedSchema | undefined,
    direction: Direction,
  ): void {
    if (before === undefined && after === undefined) return
    if (before === undefined) return this.note(path, 'breaking', 'there was no value, and is now')
    if (after === undefined) return this.note(path, 'breaking', 'there is no value any more')
    if (before === null || after === null) {
      return this.note(path, 'unknown', 'a schema without a JSON Schema form cannot be compared')
    }
    if (canonicalText('a schema', before) === canonicalText('a schema', after)) return
    const [from, to] = direction === 'toNew' ? [before, after] : [after, before]
    const findings = subsetFindings(from, to, this.#undeclared)
    if (findings.length === 0) {
      const text =
        direction === 'toNew' ? 'takes all that it took' : 'gives nothing else than before'
      return this.note(path, 'compatible', `the schema is another one, and ${text}`)
    }
    const whose = direction === 'toNew' ? 'sent by old callers' : 'read with the old schema'
    // What is certain about a place says enough.
    const certain = new Set(findings.flatMap((one) => (one.answer === 'no' ? [one.path] : [])))
    const told = findings.filter((one) => one.answer === 'no' || !certain.has(one.path))
    for (const { path: place, answer, text } of told.slice(0, FINDINGS_MAX)) {
      this.note(`${path}${place}`, answer === 'no' ? 'breaking' : 'unknown', `${whose}: ${text}`)
    }
  }
}
