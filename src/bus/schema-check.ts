/**
 * Does a value fit a schema of an API? A Standard Schema answers by itself, also with a promise. A
 * JSON Schema is compiled by ajv, which is loaded when it is first needed.
 *
 * Ajv makes code of a schema. So only schemas of APIs come here, which are a part of the program,
 * and never one that came from the network.
 */
import { payloadIssues, type StandardSchema } from '../client/index.ts'
import { type PayloadIssue, UsageError } from '../index.ts'
import type { ApiSchema, JsonSchema } from './api-types.ts'

/** The outcome of a check: what the schema made of the value, or what is wrong. */
type Checked =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly PayloadIssue[] }

/** What the bus uses of an instance of Ajv 8. */
export interface JsonSchemaCompiler {
  /** Makes a function of a schema that says whether a value fits. */
  compile(schema: object): JsonSchemaValidator
}

/** What Ajv 8 makes of a schema. */
export interface JsonSchemaValidator {
  /** Says whether a value fits. */
  (value: unknown): unknown
  /** What was wrong with the last value. */
  readonly errors?:
    | readonly {
        /** The way to the part, as a JSON Pointer. */
        readonly instancePath: string
        /** What is wrong with it. */
        readonly message?: string | undefined
      }[]
    | null
    | undefined
}

type Drafts = '2020-12' | 'draft-07'
type AjvClass = new (options: object) => JsonSchemaCompiler

const DRAFT_07 = /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/
const DRAFT_2020 = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/

/** A value that breaks everything can have as many issues as parts; more than this help nobody. */
const ISSUES_SHOWN_MAX = 100

/** @returns whether a value can be a schema of an API. */
export function isApiSchema(schema: unknown): schema is ApiSchema {
  if (isStandard(schema)) return true
  return typeof schema === 'object' && schema !== null && !Array.isArray(schema)
}

function isStandard(schema: unknown): schema is StandardSchema {
  // The schemas of some libraries are functions.
  if ((typeof schema !== 'object' || schema === null) && typeof schema !== 'function') return false
  const props = (schema as Partial<StandardSchema>)['~standard']
  return props?.version === 1 && typeof props.validate === 'function'
}

/** Checks values, and remembers the compiled JSON Schemas. */
export class SchemaChecks {
  readonly #given: JsonSchemaCompiler | undefined
  readonly #compilers = new Map<Drafts, Promise<JsonSchemaCompiler>>()
  readonly #compiled = new WeakMap<object, JsonSchemaValidator>()

  /** @param given the user's own instance of Ajv, if there is one. */
  constructor(given: JsonSchemaCompiler | undefined) {
    this.#given = given
  }

  /** @returns the outcome, a promise of it if the schema needs time. */
  check(schema: ApiSchema, value: unknown): Checked | Promise<Checked> {
    if (isStandard(schema)) return standardCheck(schema, value)
    const compiled = this.#compiled.get(schema)
    if (compiled !== undefined) return jsonCheck(compiled, value)
    return this.prepare(schema).then(() => jsonCheck(this.#compiled.get(schema)!, value))
  }

  /**
   * Compiles a schema, if it needs that.
   * @throws UsageError `NO_VALIDATOR` if ajv is not installed; UsageError if it refuses the schema.
   */
  async prepare(schema: ApiSchema): Promise<void> {
    if (isStandard(schema) || this.#compiled.has(schema)) return
    const compiler = this.#given ?? (await this.#compilerOf(draftOf(schema)))
    try {
      this.#compiled.set(schema, compiler.compile(schema))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new UsageError(`ajv does not take the JSON Schema: ${why}`, { cause })
    }
  }

  #compilerOf(draft: Drafts): Promise<JsonSchemaCompiler> {
    const known = this.#compilers.get(draft)
    if (known !== undefined) return known
    const made = loadAjv(draft).then(
      // In JSON Schema 2020-12 `format` is an annotation. Unknown formats are no errors then.
      (Ajv) => new Ajv({ validateFormats: false, strictTypes: false, strictTuples: false }),
    )
    this.#compilers.set(draft, made)
    // A package that was missing may be there at the next call.
    made.catch(() => this.#compilers.delete(draft))
    return made
  }
}

function draftOf({ $schema }: JsonSchema): Drafts {
  if ($schema === undefined || DRAFT_2020.test(String($schema))) return '2020-12'
  if (DRAFT_07.test(String($schema))) return 'draft-07'
  const allowed = '2020-12 and draft-07; for others give your own Ajv in the option `ajv`'
  throw new UsageError(`the $schema of a JSON Schema names a draft that is not ${allowed}`)
}

async function loadAjv(draft: Drafts): Promise<AjvClass> {
  try {
    const module = draft === 'draft-07' ? await import('ajv') : await import('ajv/dist/2020.js')
    return classOf(module)
  } catch (cause) {
    const what =
      'an API has a JSON Schema, and the package ajv cannot be loaded to validate with it'
    throw new UsageError(`${what}: npm install ajv@8`, { code: 'NO_VALIDATOR', cause })
  }
}

/** Ajv is CommonJS: bundlers and runtimes give its class under different names. */
function classOf(module: object): AjvClass {
  const { default: first } = module as { default: unknown }
  if (typeof first === 'function') return first as AjvClass
  return (first as { default: AjvClass }).default
}

function standardCheck(schema: StandardSchema, value: unknown): Checked | Promise<Checked> {
  const result = schema['~standard'].validate(value)
  if ('then' in result) {
    return Promise.resolve(result).then((made) =>
      made.issues ? { issues: payloadIssues(made.issues, value) } : { value: made.value },
    )
  }
  if (result.issues) return { issues: payloadIssues(result.issues, value) }
  return { value: result.value }
}

function jsonCheck(validate: JsonSchemaValidator, value: unknown): Checked {
  if (validate(value) === true) return { value }
  const errors = (validate.errors ?? []).slice(0, ISSUES_SHOWN_MAX)
  const issues = errors.map(({ instancePath, message = 'does not fit' }) => ({
    path: pointerPath(instancePath, value),
    message,
  }))
  return { issues: payloadIssues(issues, value) }
}

/** @returns the way of a JSON Pointer into a value: names, and positions in arrays. */
function pointerPath(pointer: string, value: unknown): (string | number)[] {
  let part = value
  return pointer
    .split('/')
    .slice(1)
    .map((token) => {
      const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
      const key = Array.isArray(part) ? Number(name) : name
      part = typeof part === 'object' && part !== null ? (part as never)[key] : undefined
      return key
    })
}
