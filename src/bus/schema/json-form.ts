/**
 * Which JSON Schema says what a schema of an API says? A JSON Schema is its own. A Standard Schema
 * may give one by `StandardJSONSchemaV1`; without that, or if it has no JSON form (a Date, a check
 * in code), it still validates and is missing from documents. (B15, a schema without a JSON form
 * is left out and reported)
 */
import type { StandardSchema } from '../../client/index.ts'
import type { Api, ApiRpc, ApiSchema, JsonSchema } from '../api-types.ts'
import { isApiSchema } from '../schema-check.ts'

const DRAFT = 'draft-2020-12'
const DRAFT_URI = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/

/** What `StandardJSONSchemaV1` adds to a Standard Schema. */
interface JsonSchemaSource {
  readonly jsonSchema?: {
    input?(options: { readonly target: string }): unknown
  }
}

const forms = new WeakMap<object, JsonSchema | null>()

/**
 * @returns the JSON Schema of the values before transformations, which are what travels; null if
 *   there is none.
 */
export function jsonFormOf(schema: ApiSchema): JsonSchema | null {
  const known = forms.get(schema)
  if (known !== undefined) return known
  const form = '~standard' in schema ? standardForm(schema as StandardSchema) : withoutDraft(schema)
  forms.set(schema, form)
  return form
}

function standardForm(schema: StandardSchema): JsonSchema | null {
  const { jsonSchema } = schema['~standard'] as JsonSchemaSource
  if (typeof jsonSchema?.input !== 'function') return null
  try {
    const form = jsonSchema.input({ target: DRAFT })
    return isApiSchema(form) ? withoutDraft(form as JsonSchema) : null
  } catch {
    // The standard says that a library throws for what JSON Schema cannot say.
    return null
  }
}

/** JSON Schema 2020-12 is what a document has unless it says otherwise. */
function withoutDraft(form: JsonSchema): JsonSchema {
  const { $schema, ...rest } = form
  return typeof $schema === 'string' && DRAFT_URI.test($schema) ? rest : form
}
/** @returns the places of an API whose schemas have no JSON form, such as `check input`. */
export function schemasWithoutForm(api: Api): readonly string[] {
  const ofRpc = ([name, rpc]: readonly [string, ApiRpc]) => [
    [`${name} input`, rpc.input] as const,
    [`${name} output`, rpc.output] as const,
    ...Object.entries(rpc.errors ?? {}).map(
      ([code, schema]) => [`${name} error ${code}`, schema] as const,
    ),
  ]
  return [
    ...Object.entries(api.rpcs).flatMap(ofRpc),
    ...Object.entries(api.events).map(
      ([name, { payload }]) => [`${name} payload`, payload] as const,
    ),
  ]
    .filter(([, schema]) => schema !== undefined && jsonFormOf(schema) === null)
    .map(([place]) => place)
}
