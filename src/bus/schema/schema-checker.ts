/**
 * Does a value fit a schema of others? The package `@cfworker/json-schema` interprets it: nothing
 * makes code of it. What it is given is limited before, and its work is counted. What cannot be
 * checked is `unknown`, and never `valid`. (B14, a schema from the server is data)
 */
import { payloadIssues } from '../../client/index.ts'
import { type PayloadIssue, UsageError } from '../../index.ts'
import type { JsonSchema } from '../api-types.ts'
import { checkFieldNames } from '../define-api.ts'
import { type InterpretedSchema, interpretedSchema } from './interpreted-schema.ts'
import { type SchemaViolation, schemaIssues } from './schema-issues.ts'
import type { DocumentedSchema, SchemaDocument } from './schema-types.ts'
import { NotChecked, WorkMeter } from './work-meter.ts'

/** The options of `schemaChecker()`. */
export interface SchemaCheckerOptions {
  /**
   * Whether the regular expressions of schemas are run. One that is made for it runs for hours, so
   * that this is for documents whose authors you know. Default false: `pattern` and
   * `patternProperties` are passed over, and named in `unchecked`.
   */
  readonly trustPatterns?: boolean | undefined
}

/**
 * Which value of an API is checked: the payload of an event, what is given to an rpc or what it
 * returns, or the data of an error that an rpc declares.
 */
export type DocumentedPlace =
  | {
      /** The name of the event. */
      readonly event: string
    }
  | {
      /** The name of the rpc. */
      readonly rpc: string
      /** What is given to it, or what it returns. */
      readonly part: 'input' | 'output'
    }
  | {
      /** The name of the rpc. */
      readonly rpc: string
      /** The code of the error. */
      readonly error: string
    }

/** The outcome of a check with schema documents. */
export interface SchemaCheck {
  /**
   * `valid`: it fits a document, as far as that was checked. `invalid`: it fits none. `unknown`:
   * it was not checked.
   */
  readonly verdict: 'valid' | 'invalid' | 'unknown'
  /** Whose document decided; null if no document has this. */
  readonly service: string | null
  /** What is wrong, at most 100; values do not stand in them. */
  readonly issues: readonly PayloadIssue[]
  /** Keywords that say which values fit, and were not checked. */
  readonly unchecked: readonly string[]
  /** Why the value was not checked; null if it was. */
  readonly reason: string | null
}

/** What checks values with schemas of others. */
export interface SchemaChecker {
  /**
   * Checks a value as it travels. It takes less than a second, whatever is given.
   * @param documents those of one API, of one or more services: one of them has to take the value.
   * @param value what JSON has; undefined for an empty payload.
   */
  check(documents: readonly SchemaDocument[], place: DocumentedPlace, value: unknown): SchemaCheck
}

/** What is used of the package. */
type Interpret = (
  value: unknown,
  schema: unknown,
  draft: '2020-12' | '7',
  lookup: object,
  stopsEarly: boolean,
) => { readonly valid: boolean; readonly errors: readonly SchemaViolation[] }

const VALID: SchemaCheck = Object.freeze({
  ...{ verdict: 'valid', service: null, issues: [], unchecked: [], reason: null },
} as const)
const NO_VALUE_ALLOWED: readonly PayloadIssue[] = [{ path: [], message: 'there must be no value' }]

/**
 * Makes what checks values with schema documents, such as those of `bus.schema()`. The package
 * `@cfworker/json-schema` is needed.
 * @throws UsageError `NO_VALIDATOR` if it is not installed, or works in another way.
 */
export async function schemaChecker(options: SchemaCheckerOptions = {}): Promise<SchemaChecker> {
  checkFieldNames('schemaChecker: options', options, ['trustPatterns'])
  const { trustPatterns = false } = options
  if (typeof trustPatterns !== 'boolean') {
    throw new UsageError('schemaChecker: trustPatterns must be true or false')
  }
  return new DocumentChecker(await loadInterpreter(), trustPatterns)
}

class DocumentChecker implements SchemaChecker {
  readonly #interpret: Interpret
  readonly #trustPatterns: boolean
  readonly #meter = new WorkMeter()
  readonly #copies = new WeakMap<object, InterpretedSchema | NotChecked>()

  constructor(interpret: Interpret, trustPatterns: boolean) {
    this.#interpret = interpret
    this.#trustPatterns = trustPatterns
  }

  check(documents: readonly SchemaDocument[], place: DocumentedPlace, value: unknown): SchemaCheck {
    if (documents.length === 0) return notChecked('no schema document is there')
    let best: SchemaCheck | null = null
    for (const document of documents) {
      const schema = schemaAt(document, place)
      if (schema === 'absent') continue
      const made = { ...this.#checkOne(schema, value), service: document.service }
      if (best === null || rank(made) > rank(best)) best = made
    }
    return Object.freeze(best ?? notChecked('no schema document has this'))
  }

  #checkOne(schema: DocumentedSchema | undefined, value: unknown): SchemaCheck {
    if (schema === null) return notChecked('the document has no JSON Schema of this')
    if (schema === undefined) {
      if (value === undefined) return VALID
      return { ...VALID, verdict: 'invalid', issues: NO_VALUE_ALLOWED }
    }
    if (value === undefined) {
      return { ...VALID, verdict: 'invalid', issues: [{ path: [], message: 'a value is missing' }] }
    }
    try {
      return this.#interpreted(schema, value)
    } catch (error) {
      if (error instanceof NotChecked) return notChecked(error.message)
      if (error instanceof RangeError) {
        return notChecked('the references of the schema go in circles, or it is nested too deeply')
      }
      return notChecked('the schema, or a name in the value, cannot be interpreted')
    }
  }

  #interpreted(schema: JsonSchema, value: unknown): SchemaCheck {
    const { root, draft, lookup, unchecked } = this.#copyOf(schema)
    const watched = this.#meter.begin(value)
    const { valid, errors } = this.#interpret(watched, root, draft, lookup, true)
    if (valid) return { ...VALID, unchecked }
    return {
      ...VALID,
      verdict: 'invalid',
      unchecked,
      issues: payloadIssues(schemaIssues(errors, value), value),
    }
  }

  #copyOf(schema: JsonSchema): InterpretedSchema {
    const known = this.#copies.get(schema)
    if (known instanceof NotChecked) throw known
    if (known !== undefined) return known
    try {
      const copy = interpretedSchema(schema, this.#meter, this.#trustPatterns)
      this.#copies.set(schema, copy)
      return copy
    } catch (error) {
      if (error instanceof NotChecked) this.#copies.set(schema, error)
      throw error
    }
  }
}

function notChecked(reason: string): SchemaCheck {
  return { ...VALID, verdict: 'unknown', reason }
}

/** A document that takes the value is better than one that may, and that than one that does not. */
function rank({ verdict, unchecked }: SchemaCheck): number {
  if (verdict === 'valid') return unchecked.length === 0 ? 3 : 2
  return verdict === 'unknown' ? 1 : 0
}

/** @returns the schema of a value; undefined if there is no value; `absent` if nothing is said. */
function schemaAt(
  { rpcs, events }: SchemaDocument,
  place: DocumentedPlace,
): DocumentedSchema | undefined | 'absent' {
  if ('event' in place) {
    return Object.hasOwn(events, place.event) ? events[place.event]!.payload : 'absent'
  }
  if (!Object.hasOwn(rpcs, place.rpc)) return 'absent'
  const rpc = rpcs[place.rpc]!
  if ('part' in place) return rpc[place.part]
  const { errors = {} } = rpc
  return Object.hasOwn(errors, place.error) ? errors[place.error] : 'absent'
}

let loaded: Promise<Interpret> | null = null

/** @throws UsageError `NO_VALIDATOR` */
function loadInterpreter(): Promise<Interpret> {
  loaded ??= importInterpreter()
  // A package that was missing may be there at the next call.
  loaded.catch(() => {
    loaded = null
  })
  return loaded
}

async function importInterpreter(): Promise<Interpret> {
  const install = 'npm install @cfworker/json-schema@4'
  let interpret: Interpret
  try {
    interpret = (await import('@cfworker/json-schema')).validate as Interpret
  } catch (cause) {
    const what =
      'values are checked with schemas of others, and the package @cfworker/json-schema cannot be' +
      ' loaded for that'
    throw new UsageError(`${what}: ${install}`, { code: 'NO_VALIDATOR', cause })
  }
  if (isCounted(interpret)) return interpret
  const what = 'this version of the package @cfworker/json-schema works in another way, so that'
  throw new UsageError(`${what} its work cannot be limited: ${install}`, { code: 'NO_VALIDATOR' })
}

/** Whether an interpreter reads what counts its visits, so that no schema makes it run for ever. */
function isCounted(interpret: Interpret): boolean {
  const meter = new WorkMeter()
  let left = 3
  const allOf: unknown[] = []
  const round = Object.defineProperty({ allOf }, '$recursiveAnchor', {
    get() {
      if (left-- === 0) throw new NotChecked('counted')
    },
  })
  allOf.push(round)
  try {
    interpret(meter.begin([]), round, '2020-12', {}, true)
    return false
  } catch (error) {
    return error instanceof NotChecked
  }
}
