/**
 * Of which rules does a JSON Schema consist? `$ref` and `allOf` are followed, so that a schema is a
 * list of parts of which all apply. Which types can a value have that fits all of them?
 */
import { withoutKeyword } from './part-ids.ts'
import { atPointer } from './schema-refs.ts'

/** What stands where a schema is expected. */
export type SchemaNode = unknown

/** One object of a schema. Its `$ref` and `allOf` are parts of their own. */
export type SchemaPart = Readonly<Record<string, unknown>>

/** One of the two schemas that are compared. */
export interface SchemaSide {
  /** The schema of the whole value, in which references lead. */
  readonly root: SchemaPart
  readonly isDraft07: boolean
  /** How many schemas are still looked at, so that no schema takes for ever. */
  readonly budget: { left: number }
}

/** Several schemas of one value, all of which apply. */
export interface Conjunction {
  readonly side: SchemaSide
  readonly nodes: readonly SchemaNode[]
}

/** Is thrown where the comparison does not understand a schema: the verdict is then `unknown`. */
export class NotUnderstood extends Error {}

/** The types of JSON values; a number is a whole one or a fraction. */
export type Atom = 'null' | 'boolean' | 'integer' | 'fraction' | 'string' | 'array' | 'object'

const ATOMS: readonly Atom[] = [
  ...(['null', 'boolean', 'integer', 'fraction', 'string', 'array', 'object'] as const),
]
const EXPANDED_MAX = 200
const LOOKS_MAX = 30_000
const LISTED_VALUES_MAX = 10_000

/** Keywords that say nothing about which values fit. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  ...['title', 'description', 'default', 'examples', '$comment', 'deprecated', 'readOnly'],
  ...['writeOnly', '$defs', 'definitions', '$anchor', '$schema'],
])

/** Keywords whose meaning this comparison knows. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['multipleOf', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'uniqueItems'],
  ...['items', 'prefixItems', 'properties', 'patternProperties', 'additionalProperties'],
  ...['propertyNames', 'required', 'minProperties', 'maxProperties', 'anyOf', 'oneOf', 'not'],
  ...['allOf', '$ref'],
])

/** Keywords that allow less than without them; more is not known. */
const NARROWING: ReadonlySet<string> = new Set([
  ...['format', 'contentEncoding', 'contentMediaType', 'contentSchema', 'contains', 'minContains'],
  ...['maxContains', 'if', 'then', 'else', 'dependentRequired', 'dependentSchemas'],
  ...['dependencies', 'unevaluatedItems', 'unevaluatedProperties', 'additionalItems'],
])

/** Of draft-07 these are no keywords. */
const SINCE_2019: ReadonlySet<string> = new Set([
  ...['prefixItems', 'minContains', 'maxContains', 'dependentRequired', 'dependentSchemas'],
  ...['unevaluatedItems', 'unevaluatedProperties', '$anchor', '$defs'],
])

const DRAFT_07_URI = /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/
const DRAFT_2020_URI = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/

/** @returns the schema of a value as one side of a comparison. @throws NotUnderstood */
export function sideOf(root: SchemaPart): SchemaSide {
  const { $schema } = root
  const budget = { left: LOOKS_MAX }
  if ($schema === undefined) return { root, isDraft07: false, budget }
  if (typeof $schema !== 'string') throw new NotUnderstood('its $schema is no text')
  if (DRAFT_2020_URI.test($schema)) return { root, isDraft07: false, budget }
  if (DRAFT_07_URI.test($schema)) return { root, isDraft07: true, budget }
  throw new NotUnderstood('its $schema is another draft')
}

/** @returns the keywords of a part that allow less and are known no further. */
export function narrowingIn(part: SchemaPart): readonly string[] {
  return Object.keys(part).filter((keyword) => NARROWING.has(keyword))
}

/** @returns the keywords of a part that say which values fit. */
export function rulesIn(part: SchemaPart): readonly string[] {
  return Object.keys(part).filter((keyword) => !ANNOTATIONS.has(keyword))
}

function isPart(node: SchemaNode): node is SchemaPart {
  return typeof node === 'object' && node !== null && !Array.isArray(node)
}

/**
 * @returns the parts of a conjunction; null if no value fits.
 * @throws NotUnderstood for what is no schema, a keyword that is not known, and references that
 *   lead to themselves.
 */
export function schemaParts({ side, nodes }: Conjunction): readonly SchemaPart[] | null {
  const seen = new Set<SchemaPart>()
  let isPossible = true
  const follow = (node: SchemaNode, way: readonly unknown[]) => {
    if (--side.budget.left < 0) throw new NotUnderstood('there is too much to compare')
    if (node === true) return
    if (node === false) {
      isPossible = false
      return
    }
    if (!isPart(node)) throw new NotUnderstood('a schema is neither an object nor true or false')
    if (way.includes(node)) throw new NotUnderstood('a $ref leads to itself')
    if (seen.has(node)) return
    checkKeywords(side, node)
    seen.add(node)
    if (seen.size > EXPANDED_MAX) throw new NotUnderstood('it has too many parts')
    const longer = [...way, node]
    for (const inner of schemasIn(node, 'allOf') ?? []) follow(inner, longer)
    if (node['$ref'] !== undefined) follow(referenced(side, node['$ref']), longer)
  }
  for (const node of nodes) follow(node, [])
  if (!isPossible) return null
  return [...seen].map((part) => withoutKeyword(withoutKeyword(part, 'allOf'), '$ref'))
}

function checkKeywords({ isDraft07 }: SchemaSide, part: SchemaPart): void {
  for (const keyword of Object.keys(part)) {
    const isNew = isDraft07 && SINCE_2019.has(keyword)
    const isKnown = ANNOTATIONS.has(keyword) || UNDERSTOOD.has(keyword) || NARROWING.has(keyword)
    if (isKnown && !(isNew && keyword !== '$defs' && keyword !== '$anchor')) continue
    throw new NotUnderstood(`the keyword ${JSON.stringify(keyword.slice(0, 60))} is not known`)
  }
  if (Array.isArray(part['items'])) throw new NotUnderstood('items is an array')
  // In draft-07 everything beside a $ref is ignored.
  if (isDraft07 && part['$ref'] !== undefined && rulesIn(part).length > 1) {
    throw new NotUnderstood('there are keywords beside a $ref of draft-07')
  }
}

function referenced(side: SchemaSide, reference: unknown): SchemaNode {
  if (typeof reference !== 'string') throw new NotUnderstood('a $ref is no text')
  const node = atPointer(side.root, reference)
  if (node === undefined) throw new NotUnderstood('a $ref leads to a place that is not known')
  return node
}

/** @returns a keyword's list of schemas. */
export function schemasIn(part: SchemaPart, keyword: string): readonly SchemaNode[] | undefined {
  const list = part[keyword]
  if (list === undefined || Array.isArray(list)) return list
  throw new NotUnderstood(`${keyword} is no list`)
}

/** @returns a keyword's schemas by name. */
export function tableIn(part: SchemaPart, keyword: string): SchemaPart {
  const table = part[keyword] ?? {}
  if (isPart(table)) return table
  throw new NotUnderstood(`${keyword} is no object`)
}

/** @returns the number of a keyword. */
export function numberIn(part: SchemaPart, keyword: string): number | undefined {
  const value = part[keyword]
  if (value === undefined || typeof value === 'number') return value
  throw new NotUnderstood(`${keyword} is no number`)
}

/** @returns the values that `const` and `enum` of a part allow. */
export function valuesIn(part: SchemaPart): readonly unknown[] | undefined {
  const list = part['enum']
  if (list !== undefined && !Array.isArray(list)) throw new NotUnderstood('enum is no list')
  if (list !== undefined && list.length > LISTED_VALUES_MAX) {
    throw new NotUnderstood('enum has too many values')
  }
  return Object.hasOwn(part, 'const') ? [part['const']] : list
}

export function requiredIn(part: SchemaPart): readonly string[] {
  const names = part['required'] ?? []
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names
  throw new NotUnderstood('required is no list of names')
}

/** @returns the type of a value. */
export function atomOf(value: unknown): Atom {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'fraction'
  return typeof value as Atom
}

/** @returns the types that the keyword `type` allows. */
export function atomsOfType(type: unknown): ReadonlySet<Atom> {
  if (type === undefined) return new Set(ATOMS)
  const names = Array.isArray(type) ? type : [type]
  const atoms = names.flatMap((name): readonly Atom[] => {
    if (name === 'number') return ['integer', 'fraction']
    if (name !== 'fraction' && ATOMS.includes(name as Atom)) return [name as Atom]
    throw new NotUnderstood('a type is not known')
  })
  return new Set(atoms)
}

/** @returns the types that values can have that fit all parts, as far as this is seen. */
export function atomsOf(parts: readonly SchemaPart[]): ReadonlySet<Atom> {
  let atoms = new Set(ATOMS)
  const keep = (allowed: ReadonlySet<Atom>) => {
    atoms = new Set([...atoms].filter((atom) => allowed.has(atom)))
  }
  for (const part of parts) {
    keep(atomsOfType(part['type']))
    const values = valuesIn(part)
    if (values !== undefined) keep(new Set(values.map(atomOf)))
  }
  return atoms
}
