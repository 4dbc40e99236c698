/**
 * Where does a `$ref` of a JSON Schema lead? Only to another place of the same schema, `#` being
 * the schema of one value. (B14, a schema from the server is data)
 */
import { UsageError } from '../../index.ts'
import { inQuotes } from '../bus-names.ts'

/** The keywords whose texts lead to another schema. */
const REFERENCES: readonly string[] = ['$ref', '$dynamicRef', '$recursiveRef']

/** @throws UsageError if a `$ref` leads out of the schema, or to a place that is not there. */
export function checkReferences(where: string, root: unknown): void {
  const anchors = new Set<string>()
  const references: string[] = []
  const open: unknown[] = [root]
  while (open.length > 0) {
    const part = open.pop()
    if (typeof part !== 'object' || part === null) continue
    for (const [name, value] of Object.entries(part)) {
      if (typeof value === 'object') open.push(value)
      else if (typeof value !== 'string') continue
      else if (REFERENCES.includes(name)) references.push(value)
      else if (name === '$anchor' || name === '$dynamicAnchor') anchors.add(value)
    }
  }
  for (const reference of references) {
    if (!reference.startsWith('#')) {
      const what = `${where}: the $ref ${inQuotes(reference)} leads out of the schema`
      throw new UsageError(`${what}; only references that begin with "#" are taken`)
    }
    if (anchors.has(reference.slice(1)) || isSchema(atPointer(root, reference))) continue
    throw new UsageError(`${where}: the $ref ${inQuotes(reference)} leads to no schema`)
  }
}

function isSchema(value: unknown): boolean {
  return typeof value === 'boolean' || (typeof value === 'object' && value !== null)
}

/** @returns the part of a JSON value that a reference such as `#/$defs/a` names, or undefined. */
export function atPointer(root: unknown, reference: string): unknown {
  let part = root
  for (const token of tokensOf(reference)) {
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, token)) return undefined
    part = (part as Readonly<Record<string, unknown>>)[token]
  }
  return part
}

function tokensOf(reference: string): readonly string[] {
  if (reference === '#') return []
  if (!reference.startsWith('#/')) return ['\u0000no pointer']
  try {
    return decodeURIComponent(reference.slice(2))
      .split('/')
      .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  } catch {
    return ['\u0000no pointer']
  }
}
