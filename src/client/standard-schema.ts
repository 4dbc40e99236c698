/**
 * Does a value fit a schema, whichever library made the schema? The types are those of Standard
 * Schema 1 (https://standardschema.dev), which many libraries implement.
 *
 * What is reported of a refused value are paths and the texts of the schema, never the value: texts
 * that repeat a part of the value are masked. Values are read when somebody asks for them, at once
 * and without waiting; so a schema that answers with a promise is refused.
 */
import { type PayloadIssue, UsageError } from '../index.ts'

/** A schema of any library that implements Standard Schema 1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What the standard asks of a schema. */
  readonly '~standard': StandardProps<Input, Output>
}

/** The properties of a schema. */
export interface StandardProps<Input = unknown, Output = Input> {
  /** The version of the standard. */
  readonly version: 1
  /** The name of the library. */
  readonly vendor: string
  /** Validates a value. This package takes answers, no promises of them. */
  readonly validate: (
    value: unknown,
  ) => StandardResult<Output> | PromiseLike<StandardResult<Output>>
  /** Carries the types. It is undefined when the program runs. */
  readonly types?:
    | {
        /** The type of the values that the schema takes. */
        readonly input: Input
        /** The type of the values that it makes of them. */
        readonly output: Output
      }
    | undefined
}

/** What a schema answers: the value, or what is wrong with it. */
export type StandardResult<Output> =
  | {
      /** The value that the schema made. */
      readonly value: Output
      /** There are none. */
      readonly issues?: undefined
    }
  | {
      /** What is wrong. */
      readonly issues: readonly StandardIssue[]
    }

/** One step of a path. */
export interface StandardPathSegment {
  /** The name of the property, or the position in the array. */
  readonly key: PropertyKey
}

/** What is wrong with one part of a value, as a schema says it. */
export interface StandardIssue {
  /** The text. */
  readonly message: string
  /** The way to the part. */
  readonly path?: readonly (PropertyKey | StandardPathSegment)[] | undefined
}

/** The type of the values that a schema takes. */
export type SchemaInput<Schema extends StandardSchema> = NonNullable<
  Schema['~standard']['types']
>['input']

/** The type of the values that a schema makes of them. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<
  Schema['~standard']['types']
>['output']

/** Stands for the type of a schema that was not given. */
export interface NoSchema {
  /** Nothing has this. */
  readonly noSchema: never
}

/**
 * The type of decoded values: what the schema makes, or what the codec makes if there is no schema.
 */
export type Decoded<FromSchema, FromCodec> = unknown extends FromSchema
  ? FromSchema
  : [FromSchema] extends [NoSchema]
    ? FromCodec
    : FromSchema

/** The outcome of a validation. */
type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly PayloadIssue[] }

/** A value can have as many issues as it has parts; more than this help nobody. */
const ISSUES_MAX = 100
/** The characters that are kept of the text of an issue, and of a name in its path. */
const ISSUE_TEXT_MAX = 200
/** How many parts of a value are looked for in the text of an issue. */
const PARTS_MAX = 200

/** @returns whether a value is a schema of Standard Schema 1. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  // The schemas of some libraries are functions.
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
  const props = (value as Partial<StandardSchema>)['~standard']
  return props?.version === 1 && typeof props.validate === 'function'
}

/**
 * @returns the value that the schema makes of `value`, or the issues, without any values.
 * @throws UsageError if the schema answers with a promise. What the schema throws is passed on.
 */
export function validateWith<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
): Validated<Output> {
  const result = schema['~standard'].validate(value)
  if ('then' in result) {
    // Nobody waits for it; it must not end the process.
    result.then(undefined, () => {})
    throw new UsageError(
      `the schema (${schema['~standard'].vendor}) validates asynchronously, and values are read` +
        ' without waiting; make such checks where the value is used',
    )
  }
  // Whatever is truthy means refusal.
  if (!result.issues) return { value: result.value }
  return { issues: payloadIssues(result.issues, value) }
}

/**
 * Makes the issues of a schema fit for an error that others see.
 * @param issues what a schema says of `value`.
 * @returns at most 100 of them, as paths and texts; what a text repeats of the value is replaced by
 *   `…`.
 */
export function payloadIssues(
  issues: readonly StandardIssue[],
  value: unknown,
): readonly PayloadIssue[] {
  return issues.slice(0, ISSUES_MAX).map((issue) => withoutValues(issue, value))
}

function withoutValues(issue: StandardIssue, value: unknown): PayloadIssue {
  // Some libraries have arrays of their own as paths, with more fields.
  const path = Array.from(issue.path ?? [], (part) => {
    const key = typeof part === 'object' ? part.key : part
    return typeof key === 'number' ? key : String(key).slice(0, ISSUE_TEXT_MAX)
  })
  let text = String(issue.message)
  for (const part of textsOf(valueAt(value, path))) text = masked(text, part)
  return { path, message: text.slice(0, ISSUE_TEXT_MAX) }
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let part = value
  for (const key of path) {
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, key)) return undefined
    part = (part as Record<string | number, unknown>)[key]
  }
  return part
}

/** @returns the texts and numbers in a value, the longest first. */
function textsOf(value: unknown): readonly string[] {
  const texts: string[] = []
  const open: unknown[] = [value]
  for (let count = 0; open.length > 0 && count < PARTS_MAX; count++) {
    const part = open.pop()
    if (typeof part === 'string' || typeof part === 'number' || typeof part === 'bigint') {
      texts.push(String(part))
    } else if (typeof part === 'object' && part !== null) {
      open.push(...Object.values(part).slice(0, PARTS_MAX))
    }
  }
  return texts.filter((text) => text !== '').sort((a, b) => b.length - a.length)
}

/** So short a part of a value can stand within other words by chance. */
const SHORT_PART = 3

/** @returns a text in which `part` is replaced by `…`; a short one only if it is a whole word. */
function masked(text: string, part: string): string {
  const escaped = JSON.stringify(part).slice(1, -1)
  if (escaped !== part) text = text.replaceAll(escaped, '…')
  let result = ''
  let from = 0
  for (;;) {
    const at = text.indexOf(part, from)
    if (at < 0) return result + text.slice(from)
    const end = at + part.length
    const isWord =
      part.length > SHORT_PART ||
      (!isWordUnit(text, at - 1, part, 0) && !isWordUnit(text, end, part, -1))
    result += isWord ? `${text.slice(from, at)}…` : text.slice(from, end)
    from = end
  }
}

/** @returns whether the unit at a place of `text` continues the word at an edge of `part`. */
function isWordUnit(text: string, at: number, part: string, edge: number): boolean {
  const word = /[\p{L}\p{N}]/u
  return word.test(text.charAt(at)) && word.test(part.at(edge)!)
}
