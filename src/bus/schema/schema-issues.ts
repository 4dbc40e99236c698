/**
 * What does an interpreter say of a value, in words for an error? The schema is one of others, and
 * the value may be secret, so its own texts are used where neither can stand in them.
 */
import type { StandardIssue } from '../../client/index.ts'

/** What the interpreter says is wrong. */
export interface SchemaViolation {
  readonly keyword: string
  /** The way through the schema. */
  readonly keywordLocation: string
  /** The way to the part of the value, as a JSON Pointer in a fragment. */
  readonly instanceLocation: string
  readonly error: string
}

/** How many are looked at. */
const VIOLATIONS_MAX = 1000
const ISSUES_KEPT_MAX = 100

const ISSUE_WORDS: Readonly<Record<string, string>> = {
  false: 'is not allowed',
  enum: 'is none of the values that are allowed',
  const: 'is not the only value that is allowed',
  ...{
    minimum: 'is too small',
    exclusiveMinimum: 'is too small',
    multipleOf: 'is no such multiple',
  },
  ...{ maximum: 'is too large', exclusiveMaximum: 'is too large', pattern: 'has another pattern' },
  ...{ minLength: 'is too short', maxLength: 'is too long', uniqueItems: 'has an item twice' },
  ...{ minItems: 'has too few items', maxItems: 'has too many items' },
  ...{ minProperties: 'has too few properties', maxProperties: 'has too many properties' },
  ...{ contains: 'has no item of the kind that is needed', not: 'fits what is excluded' },
  ...{ minContains: 'has too few such items', maxContains: 'has too many such items' },
  ...{ anyOf: 'fits none of the alternatives', oneOf: 'does not fit just one alternative' },
  propertyNames: 'has a property with a name that is not allowed',
}

/** Of these the parts are passed over: that none of several fits is what is wrong. */
const CLOSED_KEYWORDS: ReadonlySet<string> = new Set([
  'anyOf',
  'oneOf',
  'contains',
  'propertyNames',
])
/** What is wrong with a part stands behind them. */
const OPEN_KEYWORDS: ReadonlySet<string> = new Set([
  ...['$ref', 'allOf', 'properties', 'patternProperties', 'additionalProperties', 'items', 'if'],
  ...['prefixItems', 'additionalItems', 'unevaluatedProperties', 'unevaluatedItems'],
  'dependentSchemas',
])

/** @returns the issues of a value. */
export function schemaIssues(
  violations: readonly SchemaViolation[],
  value: unknown,
): readonly StandardIssue[] {
  const issues: StandardIssue[] = []
  let closed: string | null = null
  for (const violation of violations.slice(0, VIOLATIONS_MAX)) {
    const { keyword, keywordLocation, instanceLocation, error } = violation
    if (closed !== null && keywordLocation.startsWith(closed)) continue
    closed = CLOSED_KEYWORDS.has(keyword) ? locationOf(keywordLocation, keyword) : null
    if (OPEN_KEYWORDS.has(keyword)) continue
    // The names of types and properties stand in the texts of the others.
    issues.push({ path: pathIn(instanceLocation, value), message: ISSUE_WORDS[keyword] ?? error })
    if (issues.length === ISSUES_KEPT_MAX) break
  }
  return issues
}

function locationOf(location: string, keyword: string): string {
  return location.endsWith(`/${keyword}`) ? location : `${location}/${keyword}`
}

/** @returns the way of a JSON Pointer in a fragment: names, and positions in arrays. */
function pathIn(location: string, value: unknown): (string | number)[] {
  let part = value
  return location
    .split('/')
    .slice(1)
    .map((token) => {
      const name = decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
      const key = Array.isArray(part) ? Number(name) : name
      part = typeof part === 'object' && part !== null ? (part as never)[key] : undefined
      return key
    })
}
