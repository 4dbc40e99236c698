/**
 * What does the interpreter get of a schema of others? A copy with the keywords that are known
 * here, in the form that they must have, in which each visit is counted and references lead to
 * parts of the copy. Patterns are left out, since a regular expression can run for ever, and so is
 * what would mean something else without them. (B14, a schema from the server is data)
 */
import type { JsonSchema } from '../api-types.ts'
import { inQuotes } from '../bus-names.ts'
import { NotUnderstood, type SchemaPart, sideOf } from './schema-parts.ts'
import { atPointer } from './schema-refs.ts'
import { NotChecked, type WorkMeter } from './work-meter.ts'

/** A part of the copy. */
type InterpretedPart = Record<string, unknown>

/** A schema as the interpreter gets it. */
export interface InterpretedSchema {
  readonly root: unknown
  readonly draft: '2020-12' | '7'
  /** Where references lead. */
  readonly lookup: Readonly<Record<string, unknown>>
  /** The keywords that are left out although they say which values fit, sorted. */
  readonly unchecked: readonly string[]
}

/** What a visit of a part costs, and each name that may be missing, which makes an issue. */
const VISIT_UNITS = 20
/** How many characters of a keyword are compared or written for 1. */
const RULE_LENGTH_PER_UNIT = 8

type RuleForm = (value: unknown) => boolean

const TYPE_NAMES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
const isNumber: RuleForm = (value) => typeof value === 'number'
const isCount: RuleForm = (value) => Number.isInteger(value) && (value as number) >= 0
const isTextList: RuleForm = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')
const isTableOf =
  (isMember: RuleForm): RuleForm =>
  (value) =>
    isPartOfSchema(value) && Object.values(value).every(isMember)

/** Keywords without schemas in them. */
const RULE_FORMS: Readonly<Record<string, RuleForm>> = {
  type: (value) => [value].flat().every((one) => TYPE_NAMES.includes(one as string)),
  enum: Array.isArray,
  const: () => true,
  required: isTextList,
  dependentRequired: isTableOf(isTextList),
  uniqueItems: (value) => typeof value === 'boolean',
  multipleOf: (value) => isNumber(value) && (value as number) > 0,
  ...{ minimum: isNumber, maximum: isNumber },
  ...{ exclusiveMinimum: isNumber, exclusiveMaximum: isNumber },
  ...{ minLength: isCount, maxLength: isCount, minItems: isCount, maxItems: isCount },
  ...{ minProperties: isCount, maxProperties: isCount, minContains: isCount, maxContains: isCount },
}

/** Keywords that hold one schema, a list of them, or schemas by names. */
const HOLDS_ONE: readonly string[] = [
  ...['additionalProperties', 'propertyNames', 'not', 'if', 'then', 'else', 'contains', 'items'],
  ...['unevaluatedProperties', 'unevaluatedItems', 'additionalItems'],
]
const HOLDS_LIST: readonly string[] = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const HOLDS_TABLE: readonly string[] = [
  ...['properties', 'patternProperties', 'dependentSchemas', 'dependencies'],
]

/** Of draft-07 these are no keywords, and these no more of 2020-12. */
const NEW_KEYWORDS: ReadonlySet<string> = new Set([
  ...['prefixItems', 'minContains', 'maxContains', 'dependentRequired', 'dependentSchemas'],
  ...['unevaluatedItems', 'unevaluatedProperties', '$dynamicRef'],
])
const OLD_KEYWORDS: ReadonlySet<string> = new Set(['additionalItems', 'dependencies'])

/** Keywords that are not run, or whose parts may have some. */
const INEXACT: ReadonlySet<string> = new Set(['patternProperties', '$ref', '$dynamicRef'])
/**
 * @param trustPatterns whether regular expressions of the schema are run.
 * @throws NotChecked if the schema has parts that are none, or that are not understood.
 */
export function interpretedSchema(
  schema: JsonSchema,
  meter: WorkMeter,
  trustPatterns: boolean,
): InterpretedSchema {
  return new SchemaCopy(schema, meter, trustPatterns).made()
}

class SchemaCopy {
  readonly #given: SchemaPart
  readonly #meter: WorkMeter
  readonly #trustPatterns: boolean
  readonly #isDraft07: boolean
  /** Whether there is anything in the schema that is not run. */
  readonly #isInexact: boolean
  readonly #anchors = new Map<string, unknown>()
  readonly #copies = new Map<unknown, InterpretedPart>()
  /** Parts whose copies are empty yet. */
  readonly #open: SchemaPart[] = []
  readonly #lookup: Record<string, unknown> = Object.create(null)
  readonly #unchecked = new Set<string>()

  constructor(given: JsonSchema, meter: WorkMeter, trustPatterns: boolean) {
    this.#given = given
    this.#meter = meter
    this.#trustPatterns = trustPatterns
    this.#isDraft07 = isOfDraft07(given)
    this.#isInexact = this.#survey()
  }

  made(): InterpretedSchema {
    const root = this.#copyOf(this.#given)
    for (let part = this.#open.pop(); part !== undefined; part = this.#open.pop()) {
      this.#fill(part, this.#copies.get(part)!)
    }
    return {
      ...{ root, lookup: this.#lookup, draft: this.#isDraft07 ? '7' : '2020-12' },
      unchecked: [...this.#unchecked].sort(),
    }
  }

  /** Finds the anchors. @returns whether there are patterns, or the like. */
  #survey(): boolean {
    let isInexact = false
    const open: unknown[] = [this.#given]
    while (open.length > 0) {
      const part = open.pop()
      if (typeof part !== 'object' || part === null) continue
      for (const [name, value] of Object.entries(part)) {
        if (typeof value === 'object') open.push(value)
        if (this.#isUnrun(name, value)) isInexact = true
        if (name !== '$anchor' && name !== '$dynamicAnchor') continue
        if (typeof value !== 'string') continue
        if (this.#anchors.has(value)) throw new NotChecked('the schema has an anchor twice')
        this.#anchors.set(value, part)
      }
    }
    return isInexact
  }

  #isUnrun(name: string, value: unknown): boolean {
    if (name === '$dynamicRef') return !this.#isDraft07
    if (this.#trustPatterns) return false
    return name === 'patternProperties' || (name === 'pattern' && typeof value === 'string')
  }

  /** @returns the copy of a part, which is filled later. */
  #copyOf(part: unknown): unknown {
    if (typeof part === 'boolean') return part
    if (!isPartOfSchema(part)) throw new NotChecked('the schema has a part that is no schema')
    const known = this.#copies.get(part)
    if (known !== undefined) return known
    const copy: InterpretedPart = Object.create(null)
    this.#copies.set(part, copy)
    this.#open.push(part)
    return copy
  }

  #fill(part: SchemaPart, copy: InterpretedPart): void {
    if (part !== this.#given && part['$id'] !== undefined) {
      throw new NotChecked('a part of the schema has an $id of its own')
    }
    let units = VISIT_UNITS
    const isOnlyReference = this.#isDraft07 && part['$ref'] !== undefined
    for (const [name, value] of isOnlyReference
      ? [['$ref', part['$ref']] as const]
      : Object.entries(part)) {
      if ((this.#isDraft07 ? NEW_KEYWORDS : OLD_KEYWORDS).has(name)) continue
      if (!this.#isKept(part, name, value)) this.#unchecked.add(name)
      else units += this.#fillKeyword(copy, name, value)
    }
    const meter = this.#meter
    const readsText = ['minLength', 'maxLength', 'pattern'].some((name) => copy[name] !== undefined)
    // The interpreter reads this keyword, which is none here, once in each visit.
    Object.defineProperty(copy, '$recursiveAnchor', {
      get() {
        if (readsText) meter.takeText()
        return meter.take(units)
      },
    })
  }

  /** Whether the interpreter gets a keyword. */
  #isKept(part: SchemaPart, name: string, value: unknown): boolean {
    if (this.#isUnrun(name, value)) return false
    if (!this.#isInexact) return true
    // What the patterns match would be taken for something else.
    if (name === 'additionalProperties') {
      return part['patternProperties'] === undefined || this.#trustPatterns
    }
    if (name === 'then' || name === 'else') return this.#isExact(part['if'])
    if (name === 'maxContains') return this.#isExact(part['contains'])
    if (name.startsWith('unevaluated')) return this.#isExact(part)
    // A part that takes too much makes these take too little.
    return (name !== 'not' && name !== 'if') || this.#isExact(value)
  }

  /** Whether a part says the same without what is not run. */
  #isExact(whole: unknown): boolean {
    const open: unknown[] = [whole]
    while (open.length > 0) {
      const part = open.pop()
      if (typeof part !== 'object' || part === null) continue
      for (const [name, value] of Object.entries(part)) {
        if (INEXACT.has(name) || (name === 'pattern' && typeof value === 'string')) return false
        open.push(value)
      }
    }
    return true
  }

  /** @returns what the keyword adds to the cost of a visit. */
  #fillKeyword(copy: InterpretedPart, name: string, value: unknown): number {
    if (name === '$ref') {
      copy['$ref'] = this.#lead(value)
      return 0
    }
    const isRule = Object.hasOwn(RULE_FORMS, name)
    if (isRule || (name === 'pattern' && this.#trustPatterns)) {
      if (!(RULE_FORMS[name] ?? isText)(value)) throw keywordFault(name)
      copy[name] = value
      const units = JSON.stringify(value).length / RULE_LENGTH_PER_UNIT
      if (name === 'required') return units + VISIT_UNITS * (value as unknown[]).length
      if (name !== 'dependentRequired') return units
      return units + VISIT_UNITS * Object.values(value as object).flat().length
    }
    if (
      HOLDS_LIST.includes(name) ||
      (name === 'items' && this.#isDraft07 && Array.isArray(value))
    ) {
      if (!Array.isArray(value)) throw keywordFault(name)
      const isExact = name !== 'oneOf' || !this.#isInexact || this.#isExact(value)
      if (!isExact) this.#unchecked.add('oneOf')
      // Without the patterns more than one of them may fit, and one must.
      const kept = isExact ? name : 'anyOf'
      const parts = value.map((one) => this.#copyOf(one))
      if (kept === name || copy['anyOf'] === undefined) copy[kept] = parts
      return 2 * parts.length
    }
    if (HOLDS_ONE.includes(name)) copy[name] = this.#copyOf(value)
    if (!HOLDS_TABLE.includes(name)) return 0
    if (!isPartOfSchema(value)) throw keywordFault(name)
    const table: Record<string, unknown> = Object.create(null)
    let units = 0
    for (const [key, one] of Object.entries(value)) {
      const isList = name === 'dependencies' && isTextList(one)
      table[key] = isList ? one : this.#copyOf(one)
      units += isList ? VISIT_UNITS * (one as unknown[]).length : 2
    }
    copy[name] = table
    return units
  }

  /** @returns the name under which the copy of what a reference means is found. */
  #lead(reference: unknown): string {
    const text = String(reference)
    const anchored = this.#anchors.get(text.slice(1))
    const target = text.startsWith('#') ? (anchored ?? atPointer(this.#given, text)) : undefined
    if (target === undefined) throw new NotChecked('a $ref of the schema leads nowhere')
    this.#lookup[text] = this.#copyOf(target)
    return text
  }
}

function isOfDraft07(schema: JsonSchema): boolean {
  try {
    return sideOf(schema).isDraft07
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error
    throw new NotChecked('the $schema of the schema names a draft that is not known here')
  }
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isPartOfSchema(value: unknown): value is SchemaPart {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function keywordFault(keyword: string): NotChecked {
  return new NotChecked(`the schema has a keyword ${inQuotes(keyword)} of another form`)
}
