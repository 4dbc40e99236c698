/**
 * How does a JSON Schema stand in an AsyncAPI document? In its components, so that a `$ref` has to
 * lead to another place there, and back when the document is read.
 */
import { UsageError } from '../../index.ts'
import type { JsonSchema } from '../api-types.ts'
import { atPointer } from './schema-refs.ts'

/** Where the schemas of a document are. */
export const SCHEMAS_AT = '#/components/schemas/'

const DRAFT_07 = 'application/schema+json;version=draft-07'
const DRAFT_2020 = 'application/schema+json;version=draft-2020-12'
const DRAFT_07_SCHEMA = /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/

/** These say something else, or nothing, in the schemas that AsyncAPI takes for its own. */
const NEWER_KEYWORDS: ReadonlySet<string> = new Set([
  ...['prefixItems', 'minContains', 'maxContains', 'dependentRequired', 'dependentSchemas'],
  ...['unevaluatedItems', 'unevaluatedProperties', '$dynamicRef', '$dynamicAnchor', '$id'],
])
/** Beside a `$ref` these may stand in any draft. */
const REF_NEIGHBOURS: ReadonlySet<string> = new Set([
  ...['$ref', '$defs', 'definitions', 'title', 'description', '$schema'],
])

/**
 * @param name the name of the schema among the components.
 * @returns the schema as a component: AsyncAPI's own format if that means the same, else the
 *   schema with its format.
 * @throws UsageError for a reference that cannot be moved.
 */
export function componentOf(name: string, schema: JsonSchema): object {
  const isDraft07 = typeof schema['$schema'] === 'string' && DRAFT_07_SCHEMA.test(schema['$schema'])
  const format = isDraft07 ? DRAFT_07 : usesNewerKeywords(schema) ? DRAFT_2020 : null
  const own = format === null ? `${SCHEMAS_AT}${name}` : `${SCHEMAS_AT}${name}/schema`
  const moved = withReferences(schema, (reference) => {
    if (reference === '#' || reference.startsWith('#/')) return `${own}${reference.slice(1)}`
    const remedy = 'write it as a JSON Pointer, such as "#/$defs/a"'
    throw new UsageError(`toAsyncApi: ${name}: the $ref ${reference} cannot be moved; ${remedy}`)
  })
  return format === null ? (moved as object) : { schemaFormat: format, schema: moved }
}

/** @returns the schema that was made a component, or that stands in a message itself. */
export function schemaOfComponent(document: unknown, given: unknown): unknown {
  const reference = referenceIn(given)
  const component = reference === null ? given : atPointer(document, reference)
  const isFormatted =
    typeof component === 'object' && component !== null && 'schemaFormat' in component
  const schema = isFormatted ? (component as { schema?: unknown }).schema : component
  if (reference === null) return schema
  const own = isFormatted ? `${reference}/schema` : reference
  return withReferences(schema, (one) =>
    one === own || one.startsWith(`${own}/`) ? `#${one.slice(own.length)}` : one,
  )
}

/** @returns the text of a Reference Object, or null if a value is none. */
export function referenceIn(given: unknown): string | null {
  if (typeof given !== 'object' || given === null || !Object.hasOwn(given, '$ref')) return null
  const { $ref } = given as { readonly $ref?: unknown }
  return typeof $ref === 'string' ? $ref : null
}

function usesNewerKeywords(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return false
  const names = Object.keys(part)
  if (names.some((name) => NEWER_KEYWORDS.has(name))) return true
  if (names.includes('$ref') && names.some((name) => !REF_NEIGHBOURS.has(name))) return true
  return Object.values(part).some(usesNewerKeywords)
}

/** @returns a copy whose references are those that a function makes. */
function withReferences(part: unknown, change: (reference: string) => string): unknown {
  if (typeof part !== 'object' || part === null) return part
  if (Array.isArray(part)) return part.map((item) => withReferences(item, change))
  const entries = Object.entries(part).map(([name, value]): [string, unknown] => [
    name,
    name === '$ref' && typeof value === 'string' ? change(value) : withReferences(value, change),
  ])
  return Object.fromEntries(entries)
}
