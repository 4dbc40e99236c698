/** Do numbers, texts and types that fit some parts keep one more rule? */
import { inQuotes } from '../bus-names.ts'
import { type Atom, atomsOfType, numberIn, type SchemaPart } from './schema-parts.ts'
import { boundsIn } from './schema-values.ts'
import { findingOf, NO_FINDINGS, type RuleGiven, type SubsetFinding } from './subset-types.ts'

export const SCALAR_RULES: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['multipleOf', 'minLength', 'maxLength', 'pattern'],
])

const NUMERIC: readonly string[] = [
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
]

export function scalarRule(given: RuleGiven): readonly SubsetFinding[] {
  const { asked, atoms, part, rule } = given
  const found = (answer: 'no' | 'unknown', text: string) => [findingOf(asked.path, answer, text)]
  if (rule === 'type') {
    const allowed = atomsOfType(part['type'])
    const surplus = [...atoms].filter((atom) => !allowed.has(atom))
    if (surplus.length === 0) return NO_FINDINGS
    return found('no', `it may be of the type ${typeNames(surplus)}`)
  }
  if (rule === 'enum' || rule === 'const') {
    const isInterval = [...atoms].every((atom) => atom === 'integer')
    return found(isInterval ? 'unknown' : 'no', 'it may be another value than the listed ones')
  }
  if (NUMERIC.includes(rule)) {
    return atoms.has('integer') || atoms.has('fraction') ? numberRule(given) : NO_FINDINGS
  }
  return atoms.has('string') ? textRule(given) : NO_FINDINGS
}

function typeNames(atoms: readonly Atom[]): string {
  return atoms.map((atom) => (atom === 'fraction' ? 'number' : atom)).join(', ')
}

/** A bound: a number, and whether the number itself is outside. */
interface Bound {
  readonly at: number
  readonly isOpen: boolean
}

function numberRule({ asked, source, atoms, part, rule }: RuleGiven): readonly SubsetFinding[] {
  const isWhole = !atoms.has('fraction')
  if (rule === 'multipleOf') return multipleRule(asked.path, source, part, isWhole)
  const sign = rule.endsWith('inimum') ? 1 : -1
  const isOpen = rule.startsWith('exclusive')
  const needed = closest({ at: sign * numberIn(part, rule)!, isOpen }, isWhole)
  const known = source.flatMap((one): Bound[] => {
    const bounds = boundsIn(one)
    const closed = sign === 1 ? bounds.minimum : bounds.maximum
    const open = sign === 1 ? bounds.exclusiveMinimum : bounds.exclusiveMaximum
    return [
      ...(closed === undefined ? [] : [closest({ at: sign * closed, isOpen: false }, isWhole)]),
      ...(open === undefined ? [] : [closest({ at: sign * open, isOpen: true }, isWhole)]),
    ]
  })
  const isKept = known.some(
    ({ at, isOpen }) => at > needed.at || (at === needed.at && (isOpen || !needed.isOpen)),
  )
  if (isKept) return NO_FINDINGS
  return [findingOf(asked.path, 'no', `it may break ${rule} ${part[rule]}`)]
}

/** @returns the lower bound of whole numbers as one that is itself inside. */
function closest({ at, isOpen }: Bound, isWhole: boolean): Bound {
  if (!isWhole) return { at, isOpen }
  const least = Math.ceil(at)
  return { at: isOpen && least === at ? least + 1 : least, isOpen: false }
}

function multipleRule(
  path: string,
  source: readonly SchemaPart[],
  part: SchemaPart,
  isWhole: boolean,
): readonly SubsetFinding[] {
  const needed = numberIn(part, 'multipleOf')!
  if (needed === 1 && isWhole) return NO_FINDINGS
  const known = source.flatMap((one) => numberIn(one, 'multipleOf') ?? [])
  // Multiples of fractions are rounded, so that they are not compared.
  const isExact = [needed, ...known].every((step) => Number.isSafeInteger(step) && step > 0)
  const isKept = (step: number) => step === needed || (isExact && step % needed === 0)
  if (known.some(isKept)) return NO_FINDINGS
  const answer = known.length === 0 || (known.length === 1 && isExact) ? 'no' : 'unknown'
  return [findingOf(path, answer, `it may be no multiple of ${needed}`)]
}

function textRule({ asked, source, part, rule }: RuleGiven): readonly SubsetFinding[] {
  const patterns = source.flatMap((one) => ('pattern' in one ? [one['pattern']] : []))
  if (rule === 'pattern') {
    if (patterns.includes(part['pattern'])) return NO_FINDINGS
    const text = `it may not match ${inQuotes(part['pattern'])}`
    return [findingOf(asked.path, patterns.length === 0 ? 'no' : 'unknown', text)]
  }
  const needed = numberIn(part, rule)!
  const isKept =
    (rule === 'minLength' && needed <= 0) ||
    source.some((one) => {
      const known = numberIn(one, rule)
      if (known === undefined) return false
      return rule === 'minLength' ? known >= needed : known <= needed
    })
  if (isKept) return NO_FINDINGS
  // A pattern may say the same, and patterns are not read.
  const answer = patterns.length === 0 ? 'no' : 'unknown'
  return [findingOf(asked.path, answer, `it may break ${rule} ${needed}`)]
}
