/** Do the inner parts of objects and arrays that fit some parts keep one more rule? */
import {
  numberIn,
  requiredIn,
  type SchemaNode,
  type SchemaPart,
  schemasIn,
  tableIn,
} from './schema-parts.ts'
import {
  findingOf,
  NO_FINDINGS,
  pathInto,
  type RuleGiven,
  type SubsetContext,
  type SubsetFinding,
  type SubsetQuestion,
} from './subset-types.ts'

const PROPERTIES_RULES: readonly string[] = [
  ...['properties', 'patternProperties', 'additionalProperties'],
]

export const OBJECT_RULES: ReadonlySet<string> = new Set([
  ...PROPERTIES_RULES,
  ...['required', 'propertyNames', 'minProperties', 'maxProperties'],
])

export const ARRAY_RULES: ReadonlySet<string> = new Set([
  ...['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
])

const POSITIONS_MAX = 64

export function objectRule(context: SubsetContext, given: RuleGiven): readonly SubsetFinding[] {
  const { asked, source, atoms, part, rule } = given
  if (!atoms.has('object')) return NO_FINDINGS
  if (PROPERTIES_RULES.includes(rule)) {
    // They are looked at together, once.
    const isFirst = PROPERTIES_RULES.find((one) => one in part) === rule
    return isFirst ? propertyRules(context, given) : NO_FINDINGS
  }
  if (rule === 'required') {
    const known = new Set(source.flatMap(requiredIn))
    return requiredIn(part)
      .filter((name) => !known.has(name))
      .map((name) => findingOf(pathInto(asked.path, name), 'no', 'it may be missing'))
  }
  if (rule === 'propertyNames') {
    const names = source.flatMap((one) => ('propertyNames' in one ? [one[rule]] : []))
    const found = context.ask({
      a: { side: asked.a.side, nodes: [...names, ANY_NAME] },
      b: { side: asked.b.side, nodes: [part[rule]] },
      path: `${asked.path}/*`,
      level: asked.level + 1,
    })
    const text = 'which names properties may have is not compared'
    return found.length === 0 ? found : [findingOf(asked.path, 'unknown', text)]
  }
  const needed = numberIn(part, rule)!
  const isKept = source.some((one) => {
    const known = numberIn(one, rule)
    if (known === undefined) return false
    return rule === 'minProperties' ? known >= needed : known <= needed
  })
  const required = new Set(source.flatMap(requiredIn)).size
  if (isKept || (rule === 'minProperties' && required >= needed)) return NO_FINDINGS
  return [findingOf(asked.path, 'unknown', `it may break ${rule} ${needed}`)]
}

const ANY_NAME: SchemaPart = { type: 'string' }

/** What the source says of one property: schemas, and whether it names the property at all. */
interface Declared {
  readonly nodes: readonly SchemaNode[]
  readonly isDeclared: boolean
}

function declaredOf(source: readonly SchemaPart[], name: string): Declared {
  const nodes: SchemaNode[] = []
  let isDeclared = false
  for (const part of source) {
    const properties = tableIn(part, 'properties')
    if (Object.hasOwn(properties, name)) {
      nodes.push(properties[name])
      isDeclared = true
      // A pattern may match the name; then the property fits something else instead.
    } else if (!('patternProperties' in part) && 'additionalProperties' in part) {
      nodes.push(part['additionalProperties'])
      isDeclared = true
    } else if ('patternProperties' in part) isDeclared = true
  }
  return { nodes, isDeclared }
}

function propertyRules(context: SubsetContext, given: RuleGiven): readonly SubsetFinding[] {
  const { asked, source, part } = given
  const own = tableIn(part, 'properties')
  const names = new Set([
    ...Object.keys(own),
    ...source.flatMap((one) => Object.keys(tableIn(one, 'properties'))),
  ])
  const required = new Set(source.flatMap(requiredIn))
  const findings = [...names].flatMap((name) => namedRule(context, given, name, required.has(name)))
  return [...findings, ...otherRules(context, asked, source, part)]
}

function namedRule(
  context: SubsetContext,
  { asked, source, part }: RuleGiven,
  name: string,
  isRequired: boolean,
): readonly SubsetFinding[] {
  const path = pathInto(asked.path, name)
  const own = tableIn(part, 'properties')
  const hasPatterns = 'patternProperties' in part
  const nodes = Object.hasOwn(own, name)
    ? [own[name]]
    : 'additionalProperties' in part
      ? [part['additionalProperties']]
      : []
  const { nodes: known, isDeclared } = declaredOf(source, name)
  if (!isDeclared && !isRequired && isComplete(context, source)) return NO_FINDINGS
  const patterns = hasPatterns ? Object.values(tableIn(part, 'patternProperties')) : []
  const found = inside(context, asked, path, known, [...nodes, ...patterns])
  if (found.length === 0) return found
  if (hasPatterns) {
    return [findingOf(path, 'unknown', 'whether a pattern matches the name is not known')]
  }
  if (source.some((one) => 'patternProperties' in one)) return uncertain(found)
  if (isDeclared) return found
  const text = 'it is not declared on the other side, so that any value may stand here'
  return [findingOf(path, 'unknown', text)]
}

/** @returns whether values have no other properties than those that the source names. */
function isComplete({ undeclared }: SubsetContext, source: readonly SchemaPart[]): boolean {
  // A schema that names none, such as that of any value, describes no object.
  return undeclared === 'absent' && source.some((part) => 'properties' in part)
}

/** What is said of properties that neither side names. */
function otherRules(
  context: SubsetContext,
  asked: SubsetQuestion,
  source: readonly SchemaPart[],
  part: SchemaPart,
): readonly SubsetFinding[] {
  const path = `${asked.path}/*`
  const isOpen = source.every(
    (one) => !('additionalProperties' in one) && !('patternProperties' in one),
  )
  if (isOpen && isComplete(context, source)) return NO_FINDINGS
  const hasPatterns = source.some((one) => 'patternProperties' in one)
  const rest = source.flatMap((one) =>
    'additionalProperties' in one && !('patternProperties' in one)
      ? [one['additionalProperties']]
      : [],
  )
  const needed = 'additionalProperties' in part ? [part['additionalProperties']] : []
  const found = [...inside(context, asked, path, rest, needed)]
  for (const [pattern, node] of Object.entries(tableIn(part, 'patternProperties'))) {
    const same = source.flatMap((one) => {
      const table = tableIn(one, 'patternProperties')
      return Object.hasOwn(table, pattern) ? [table[pattern]] : []
    })
    found.push(...uncertain(inside(context, asked, path, [...rest, ...same], [node])))
  }
  if (found.length === 0) return found
  return hasPatterns || 'patternProperties' in part ? uncertain(found) : found
}

function uncertain(findings: readonly SubsetFinding[]): readonly SubsetFinding[] {
  return findings.map((one) => ({ ...one, answer: 'unknown' as const }))
}

/** @returns the findings about a part of the value. */
function inside(
  context: SubsetContext,
  { a, b, level }: SubsetQuestion,
  path: string,
  from: readonly SchemaNode[],
  to: readonly SchemaNode[],
): readonly SubsetFinding[] {
  if (to.length === 0) return NO_FINDINGS
  return context.ask({
    a: { side: a.side, nodes: from },
    b: { side: b.side, nodes: to },
    path,
    level: level + 1,
  })
}

export function arrayRule(context: SubsetContext, given: RuleGiven): readonly SubsetFinding[] {
  const { asked, source, atoms, part, rule } = given
  if (!atoms.has('array')) return NO_FINDINGS
  const most = Math.min(...source.map((one) => numberIn(one, 'maxItems') ?? Number.MAX_VALUE))
  if (rule === 'items' || rule === 'prefixItems') {
    const isFirst = rule === 'items' || !('items' in part)
    return isFirst ? itemRules(context, asked, source, part, most) : NO_FINDINGS
  }
  if (rule === 'uniqueItems') {
    if (part[rule] !== true || most <= 1) return NO_FINDINGS
    if (source.some((one) => one[rule] === true)) return NO_FINDINGS
    return [findingOf(asked.path, 'no', 'its items may be equal')]
  }
  const needed = numberIn(part, rule)!
  if (rule === 'maxItems' ? most <= needed : needed <= 0) return NO_FINDINGS
  const isKept = source.some((one) => (numberIn(one, rule) ?? -1) >= needed && rule === 'minItems')
  if (isKept) return NO_FINDINGS
  // Without further items there are as many as are listed, which is not counted here.
  const isListed = source.some((one) => one['items'] === false)
  return [findingOf(asked.path, isListed ? 'unknown' : 'no', `it may break ${rule} ${needed}`)]
}

function itemRules(
  context: SubsetContext,
  asked: SubsetQuestion,
  source: readonly SchemaPart[],
  part: SchemaPart,
  most: number,
): readonly SubsetFinding[] {
  const listed = Math.max(
    ...[part, ...source].map((one) => schemasIn(one, 'prefixItems')?.length ?? 0),
  )
  if (listed > POSITIONS_MAX)
    return [findingOf(asked.path, 'unknown', 'it has too many prefixItems')]
  const findings: SubsetFinding[] = []
  for (let at = 0; at < Math.min(listed, most); at++) {
    const known = source.flatMap((one) => itemAt(one, at))
    findings.push(...inside(context, asked, `${asked.path}/${at}`, known, itemAt(part, at)))
    // The list may end here: what is further in it cannot be wrong.
    if (known.includes(false)) return findings
  }
  if (most <= listed) return findings
  const known = source.flatMap((one) => itemAt(one, listed))
  return [...findings, ...inside(context, asked, `${asked.path}/*`, known, itemAt(part, listed))]
}

/** @returns what a part says of the item at a position: one schema, or nothing. */
function itemAt(part: SchemaPart, at: number): readonly SchemaNode[] {
  const listed = schemasIn(part, 'prefixItems') ?? []
  if (at < listed.length) return [listed[at]]
  return 'items' in part ? [part['items']] : []
}
