/**
 * Can no value fit two JSON Schemas? Only a proof counts: their types differ, their lists of values
 * do, or a property that one requires has values that exclude each other.
 */
import {
  atomsOf,
  type Conjunction,
  requiredIn,
  type SchemaNode,
  type SchemaPart,
  schemaParts,
  tableIn,
  valuesIn,
} from './schema-parts.ts'
import { valueFits } from './schema-values.ts'

const DISJOINT_DEPTH_MAX = 4
const LISTED_MAX = 100

/** @throws NotUnderstood */
export function isDisjoint(a: Conjunction, b: Conjunction, depth = 0): boolean {
  const first = schemaParts(a)
  const second = schemaParts(b)
  if (first === null || second === null) return true
  const atoms = atomsOf(second)
  const common = [...atomsOf(first)].filter((atom) => atoms.has(atom))
  if (common.length === 0) return true
  if (excludes(first, b) || excludes(second, a)) return true
  if (depth >= DISJOINT_DEPTH_MAX || common.some((atom) => atom !== 'object')) return false
  const required = new Set([...first, ...second].flatMap(requiredIn))
  return [...required].some((name) => {
    const inA = propertyNodes(first, name)
    const inB = propertyNodes(second, name)
    if (inA.length === 0 || inB.length === 0) return false
    return isDisjoint({ side: a.side, nodes: inA }, { side: b.side, nodes: inB }, depth + 1)
  })
}

/** @returns whether the listed values of one side all do not fit the other. */
function excludes(parts: readonly SchemaPart[], other: Conjunction): boolean {
  return parts.some((part) => {
    const values = valuesIn(part)
    if (values === undefined || values.length > LISTED_MAX) return false
    return values.every((value) => valueFits(value, other) === 'no')
  })
}

function propertyNodes(parts: readonly SchemaPart[], name: string): readonly SchemaNode[] {
  return parts.flatMap((part) => {
    const table = tableIn(part, 'properties')
    return Object.hasOwn(table, name) ? [table[name]] : []
  })
}
