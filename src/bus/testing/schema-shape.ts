/**
 * Which values does a schema describe? A JSON Schema is read into a shape, which has a case for
 * each kind of value. A keyword that is not understood is an error, so that nothing is made of a
 * schema that was understood by half.
 */
import { UsageError } from '../../index.ts'
import type { ApiSchema, JsonSchema } from '../index.ts'

/** The values of a schema. */
export type Shape =
  | { readonly kind: 'anything' }
  | { readonly kind: 'values'; readonly values: readonly unknown[] }
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean' }
  | NumberShape
  | StringShape
  | ArrayShape
  | ObjectShape
  | { readonly kind: 'choice'; readonly choices: readonly Shape[] }
  | { readonly kind: 'reference'; readonly target: () => Shape }

export interface NumberShape {
  readonly kind: 'number'
  readonly isInteger: boolean
  readonly min: number
  readonly max: number
  readonly isMinExcluded: boolean
  readonly isMaxExcluded: boolean
  readonly step: number | null
}

export interface StringShape {
  readonly kind: 'string'
  readonly minLength: number
  readonly maxLength: number
  readonly format: string | null
  readonly pattern: RegExp | null
}

export interface ArrayShape {
  readonly kind: 'array'
  readonly first: readonly Shape[]
  readonly rest: Shape | null
  readonly minItems: number
  readonly maxItems: number
  readonly isUnique: boolean
}

export interface ObjectShape {
  readonly kind: 'object'
  readonly properties: readonly (readonly [name: string, shape: Shape, isRequired: boolean])[]
  /** What other properties may be; null if there may be none. */
  readonly others: Shape | null
  readonly minProperties: number
  readonly maxProperties: number
}

const ANY: Shape = { kind: 'anything' }
const DEPTH_MAX = 64

/** What says nothing about values. */
const ANNOTATIONS = [
  ...['$schema', '$id', '$anchor', '$comment', '$defs', 'definitions', 'title', 'description'],
  ...['default', 'examples', 'deprecated', 'readOnly', 'writeOnly', '~standard'],
]
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  null: [],
  boolean: [],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'format'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  object: [
    ...['properties', 'required', 'additionalProperties', 'propertyNames'],
    ...['minProperties', 'maxProperties'],
  ],
}
const TYPES = Object.keys(KEYWORDS)

/** A Standard Schema that can say what it takes as a JSON Schema. */
interface Convertible {
  readonly '~standard'?: {
    readonly vendor: string
    readonly jsonSchema?: { input(options: { readonly target: string }): JsonSchema }
  }
}

/**
 * @returns the JSON Schema of the values that a schema takes.
 * @throws UsageError if its library cannot say it.
 */
export function jsonSchemaToMake(schema: ApiSchema): JsonSchema {
  const standard = (schema as Convertible)['~standard']
  if (standard === undefined) return schema as JsonSchema
  if (standard.jsonSchema === undefined) {
    throw new UsageError(`the schemas of ${standard.vendor} cannot be read as JSON Schemas`)
  }
  return standard.jsonSchema.input({ target: 'draft-2020-12' })
}

/** @throws UsageError for a schema that is not understood as a whole. */
export function shapeOfSchema(root: JsonSchema): Shape {
  return shapeAt(root, root, '#', 0)
}

function shapeAt(given: unknown, root: JsonSchema, where: string, depth: number): Shape {
  if (given === true) return ANY
  const notMade = (why: string) => new UsageError(`nothing can be made of the schema: ${why}`)
  if (typeof given !== 'object' || given === null) throw notMade(`${where} is no JSON Schema`)
  if (depth > DEPTH_MAX) throw notMade(`it is deeper than ${DEPTH_MAX} levels`)
  const schema = given as JsonSchema
  const within = (part: unknown, name: string) => shapeAt(part, root, `${where}/${name}`, depth + 1)
  const understood = new Set<string>(ANNOTATIONS)
  const take = (names: readonly string[]) => {
    for (const name of names) understood.add(name)
  }
  const finished = (shape: Shape): Shape => {
    const unknown = Object.keys(schema).find((name) => !understood.has(name))
    if (unknown !== undefined) throw notMade(`"${unknown}" at ${where} is not understood`)
    return shape
  }
  if (schema['$ref'] !== undefined) {
    take(['$ref'])
    const { $ref } = schema
    const target = referred($ref, root)
    if (target === undefined)
      throw notMade(`${where} refers to ${String($ref)}, which is not there`)
    return finished({ kind: 'reference', target: () => shapeAt(target, root, String($ref), 0) })
  }
  if (schema['const'] !== undefined || schema['enum'] !== undefined) {
    take(['const', 'enum', 'type'])
    const { enum: values = [schema['const']] } = schema
    if (!Array.isArray(values) || values.length === 0) throw notMade(`${where}/enum is empty`)
    return finished({ kind: 'values', values })
  }
  for (const name of ['anyOf', 'oneOf'] as const) {
    const parts = schema[name]
    if (!Array.isArray(parts)) continue
    take([name])
    const choices = parts.map((part, index) => within(part, `${name}/${index}`))
    return finished({ kind: 'choice', choices })
  }
  const parts = schema['allOf']
  if (Array.isArray(parts) && parts.length === 1) {
    take(['allOf'])
    return finished(within(parts[0], 'allOf/0'))
  }
  const { type = impliedType(schema) } = schema
  if (type === undefined) return finished(ANY)
  const types = Array.isArray(type) ? type : [type]
  const shapes = types.map((one): Shape => {
    const name = one === 'integer' ? 'number' : String(one)
    const keywords = KEYWORDS[name]
    if (keywords === undefined) throw notMade(`${where} has the type "${name}"`)
    take(['type', ...keywords])
    if (name === 'number') return numberShape(schema, one === 'integer')
    if (name === 'string') return stringShape(schema)
    if (name === 'array') return arrayShape(schema, within)
    if (name === 'object') return objectShape(schema, within)
    return { kind: name as 'null' | 'boolean' }
  })
  return finished(shapes.length === 1 ? shapes[0]! : { kind: 'choice', choices: shapes })
}

/** Keywords without a type are for values of their type; such a value is one that fits. */
function impliedType(schema: JsonSchema): string | undefined {
  return TYPES.find((type) => KEYWORDS[type]!.some((name) => Object.hasOwn(schema, name)))
}

function referred(reference: unknown, root: JsonSchema): unknown {
  if (typeof reference !== 'string' || !reference.startsWith('#')) return undefined
  let part: unknown = root
  for (const token of reference.slice(1).split('/').slice(1)) {
    const name = decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, name)) return undefined
    part = (part as JsonSchema)[name]
  }
  return part
}

function numberShape(schema: JsonSchema, isInteger: boolean): NumberShape {
  const numberAt = (name: string, otherwise: number) =>
    typeof schema[name] === 'number' ? schema[name] : otherwise
  const min = numberAt('minimum', Number.NEGATIVE_INFINITY)
  const max = numberAt('maximum', Number.POSITIVE_INFINITY)
  const above = numberAt('exclusiveMinimum', Number.NEGATIVE_INFINITY)
  const below = numberAt('exclusiveMaximum', Number.POSITIVE_INFINITY)
  const step = numberAt('multipleOf', 0)
  return {
    ...{ kind: 'number', isInteger, step: step > 0 ? step : null },
    ...{ min: Math.max(min, above), isMinExcluded: above >= min && Number.isFinite(above) },
    ...{ max: Math.min(max, below), isMaxExcluded: below <= max && Number.isFinite(below) },
  }
}

function stringShape({ minLength, maxLength, format, pattern }: JsonSchema): StringShape {
  return {
    kind: 'string',
    minLength: typeof minLength === 'number' ? minLength : 0,
    maxLength: typeof maxLength === 'number' ? maxLength : Number.POSITIVE_INFINITY,
    format: typeof format === 'string' ? format : null,
    pattern: typeof pattern === 'string' ? new RegExp(pattern, 'u') : null,
  }
}

type Within = (part: unknown, name: string) => Shape

function arrayShape(schema: JsonSchema, within: Within): ArrayShape {
  const { items = true, prefixItems = [], minItems, maxItems, uniqueItems } = schema
  const first = (prefixItems as readonly unknown[]).map((part, index) =>
    within(part, `prefixItems/${index}`),
  )
  return {
    ...{ kind: 'array', first, rest: items === false ? null : within(items, 'items') },
    minItems: typeof minItems === 'number' ? minItems : 0,
    maxItems: typeof maxItems === 'number' ? maxItems : Number.POSITIVE_INFINITY,
    isUnique: uniqueItems === true,
  }
}

function objectShape(schema: JsonSchema, within: Within): ObjectShape {
  const { properties = {}, required = [], additionalProperties = true } = schema
  const { propertyNames, minProperties, maxProperties } = schema
  const isPlain = propertyNames === undefined || isPlainText(propertyNames)
  if (!isPlain) {
    throw new UsageError('nothing can be made of the schema: "propertyNames" is not understood')
  }
  const needed = new Set(required as readonly string[])
  const known = Object.entries(properties as object).map(
    ([name, part]) => [name, within(part, `properties/${name}`), needed.has(name)] as const,
  )
  const unknown = [...needed].filter((name) => !Object.hasOwn(properties as object, name))
  const others =
    additionalProperties === false ? null : within(additionalProperties, 'additionalProperties')
  return {
    kind: 'object',
    properties: [...known, ...unknown.map((name) => [name, others ?? ANY, true] as const)],
    others,
    minProperties: typeof minProperties === 'number' ? minProperties : 0,
    maxProperties: typeof maxProperties === 'number' ? maxProperties : Number.POSITIVE_INFINITY,
  }
}

/** @returns whether a schema of names allows all of them. */
function isPlainText(schema: unknown): boolean {
  if (schema === true) return true
  const { type, ...rest } = schema as JsonSchema
  return type === 'string' && Object.keys(rest).every((name) => ANNOTATIONS.includes(name))
}
