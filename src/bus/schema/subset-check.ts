/**
 * Does every value that fits one JSON Schema fit another? The answer `yes` is a proof. `no` says
 * that a rule was found which the first schema does not keep. Everything else is `unknown`.
 *
 * The second schema is taken rule by rule; each must follow from the first. If that does not
 * succeed, the first is split into cases (`anyOf`, `oneOf`, types), each of which must fit. (B13,
 * what replaces a schema is compared with it)
 */
import { inQuotes } from '../bus-names.ts'
import { isDisjoint } from './disjoint.ts'
import { ARRAY_RULES, arrayRule, OBJECT_RULES, objectRule } from './inside-rules.ts'
import { pairIdOf, textOfPart, withoutKeyword } from './part-ids.ts'
import { SCALAR_RULES, scalarRule } from './scalar-rules.ts'
import {
  type Atom,
  atomsOf,
  type Conjunction,
  NotUnderstood,
  narrowingIn,
  rulesIn,
  type SchemaNode,
  type SchemaPart,
  schemaParts,
  schemasIn,
  sideOf,
  valuesIn,
} from './schema-parts.ts'
import { isSameJson, type SubsetAnswer, valueFits } from './schema-values.ts'
import {
  findingOf,
  NO_FINDINGS,
  type SubsetContext,
  type SubsetFinding,
  type SubsetQuestion,
  type UndeclaredProperties,
} from './subset-types.ts'

/** How many pairs of schemas are looked at before the answer is `unknown`. */
const STEPS_MAX = 2000
const VALUE_LEVELS_MAX = 64
const ENUM_MAX = 1000
const BRANCHES_MAX = 64

/** @returns what keeps values of `from` from fitting `to`; nothing if all of them fit. */
export function subsetFindings(
  from: SchemaPart,
  to: SchemaPart,
  undeclared: UndeclaredProperties,
): readonly SubsetFinding[] {
  try {
    const a = { side: sideOf(from), nodes: [from] }
    const b = { side: sideOf(to), nodes: [to] }
    const isSameRoot = isSameJson(from, to)
    return new SubsetCheck(undeclared, isSameRoot).ask({ a, b, path: '', level: 0 })
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error
    return [findingOf('', 'unknown', error.message)]
  }
}

class SubsetCheck implements SubsetContext {
  readonly undeclared: UndeclaredProperties
  readonly #isSameRoot: boolean
  #steps = 0
  /** The pairs that are being asked about, with the level of the value at which they were met. */
  readonly #open = new Map<string, number>()

  constructor(undeclared: UndeclaredProperties, isSameRoot: boolean) {
    this.undeclared = undeclared
    this.#isSameRoot = isSameRoot
  }

  ask(asked: SubsetQuestion): readonly SubsetFinding[] {
    const { path, level } = asked
    if (++this.#steps > STEPS_MAX)
      return [findingOf(path, 'unknown', 'there is too much to compare')]
    if (level > VALUE_LEVELS_MAX) return [findingOf(path, 'unknown', 'it is nested too deep')]
    try {
      return this.#compare(asked)
    } catch (error) {
      if (!(error instanceof NotUnderstood)) throw error
      return [findingOf(path, 'unknown', error.message)]
    }
  }

  #compare(asked: SubsetQuestion): readonly SubsetFinding[] {
    const { a, b, path, level } = asked
    const target = schemaParts(b)
    const source = schemaParts(a)
    if (source === null) return NO_FINDINGS
    if (target === null) return [findingOf(path, 'no', 'it may be there')]
    if (target.every((part) => this.#isKept(source, part))) return NO_FINDINGS
    const atoms = atomsOf(source)
    if (atoms.size === 0) return NO_FINDINGS
    const id = pairIdOf(source, target)
    const known = this.#open.get(id)
    if (known !== undefined) {
      // A value has an end. So what is asked again about a part of the value may be assumed.
      if (known < level) return NO_FINDINGS
      return [findingOf(path, 'unknown', 'it is defined by itself')]
    }
    this.#open.set(id, level)
    try {
      return this.#byValue(asked, source, atoms) ?? this.#byRule(asked, source, target, atoms)
    } finally {
      this.#open.delete(id)
    }
  }

  /** @returns the findings if the values can be listed; null if they cannot. */
  #byValue(
    { a, b, path }: SubsetQuestion,
    source: readonly SchemaPart[],
    atoms: ReadonlySet<Atom>,
  ): readonly SubsetFinding[] | null {
    const lists = source.flatMap((part) => {
      const values = valuesIn(part)
      return values === undefined ? [] : [values]
    })
    if ([...atoms].every((atom) => atom === 'null' || atom === 'boolean')) {
      lists.push(
        [null, true, false].filter((value) => atoms.has(value === null ? 'null' : 'boolean')),
      )
    }
    const [values] = lists.sort((one, other) => one.length - other.length)
    if (values === undefined || values.length > ENUM_MAX) return null
    this.#steps += values.length
    const findings: SubsetFinding[] = []
    for (const value of values) {
      const isPossible = valueFits(value, a)
      const answer: SubsetAnswer = isPossible === 'no' ? 'yes' : valueFits(value, b)
      if (answer === 'yes') continue
      // Values with an inside are compared by rules.
      if (answer === 'unknown') return null
      const text = `${inQuotes(JSON.stringify(value))} may occur`
      findings.push(findingOf(path, isPossible === 'yes' ? 'no' : 'unknown', text))
    }
    return findings
  }

  #byRule(
    asked: SubsetQuestion,
    source: readonly SchemaPart[],
    target: readonly SchemaPart[],
    atoms: ReadonlySet<Atom>,
  ): readonly SubsetFinding[] {
    const findings = target.flatMap((part) =>
      this.#isKept(source, part)
        ? NO_FINDINGS
        : rulesIn(part).flatMap((rule) => this.#rule(asked, source, atoms, part, rule)),
    )
    if (findings.length === 0) return findings
    const cases = this.#cases(asked, source, target, atoms)
    if (cases !== null) return cases
    // What is not understood may exclude the values in question.
    const isCertain = source.every(
      (part) => narrowingIn(part).length === 0 && !('not' in part) && valuesIn(part) === undefined,
    )
    return isCertain ? findings : findings.map((one) => ({ ...one, answer: 'unknown' as const }))
  }

  /** @returns whether a part of the source says the same. */
  #isKept(source: readonly SchemaPart[], part: SchemaPart): boolean {
    // References have another meaning in another schema.
    const isMovable = this.#isSameRoot || !textOfPart(part).includes('"$ref"')
    return isMovable && source.some((one) => textOfPart(one) === textOfPart(part))
  }

  #rule(
    asked: SubsetQuestion,
    source: readonly SchemaPart[],
    atoms: ReadonlySet<Atom>,
    part: SchemaPart,
    rule: string,
  ): readonly SubsetFinding[] {
    if (rule === 'allOf' || rule === '$ref') return NO_FINDINGS
    const given = { asked, source, atoms, part, rule }
    if (SCALAR_RULES.has(rule)) return scalarRule(given)
    if (OBJECT_RULES.has(rule)) return objectRule(this, given)
    if (ARRAY_RULES.has(rule)) return arrayRule(this, given)
    if (rule === 'anyOf' || rule === 'oneOf') return this.#oneOfThem(asked, part, rule)
    if (rule === 'not') {
      const excluded = { side: asked.b.side, nodes: [part[rule]] }
      if (isDisjoint(asked.a, excluded)) return NO_FINDINGS
    }
    if (rule !== 'format') {
      return [findingOf(asked.path, 'unknown', `the keyword ${rule} is not compared`)]
    }
    const { format } = part
    if (!atoms.has('string') || source.some((one) => one['format'] === format)) return NO_FINDINGS
    return [findingOf(asked.path, 'unknown', `it may break the format ${inQuotes(format)}`)]
  }

  /** All values must fit one branch; with `oneOf` no value may fit another one. */
  #oneOfThem(
    asked: SubsetQuestion,
    part: SchemaPart,
    rule: 'anyOf' | 'oneOf',
  ): readonly SubsetFinding[] {
    const { a, b, path } = asked
    const branches = schemasIn(part, rule)!.map((node) => ({ side: b.side, nodes: [node] }))
    if (branches.length > BRANCHES_MAX) {
      return [findingOf(path, 'unknown', `${rule} has too many branches`)]
    }
    const others = branches.filter((branch) => !isDisjoint(a, branch))
    if (others.length === 0) return [findingOf(path, 'no', `it may fit no branch of ${rule}`)]
    if (rule === 'oneOf' && others.length > 1) {
      return [findingOf(path, 'unknown', 'it may fit several branches of oneOf')]
    }
    let best: readonly SubsetFinding[] | null = null
    for (const branch of others) {
      const findings = this.ask({ ...asked, b: branch })
      if (findings.length === 0) return findings
      best ??= findings
    }
    // With one branch left, what is wrong with it is wrong.
    if (others.length === 1) return best!
    return [findingOf(path, 'unknown', `which branch of ${rule} it fits is not known`)]
  }

  /** @returns the findings of all cases of the source; null if there are no cases. */
  #cases(
    asked: SubsetQuestion,
    source: readonly SchemaPart[],
    target: readonly SchemaPart[],
    atoms: ReadonlySet<Atom>,
  ): readonly SubsetFinding[] | null {
    const split = source.find((part) => 'anyOf' in part || 'oneOf' in part)
    if (split !== undefined) {
      const rule = 'anyOf' in split ? 'anyOf' : 'oneOf'
      const branches = schemasIn(split, rule)!
      if (branches.length > BRANCHES_MAX) return null
      const rest = source.map((part) => (part === split ? withoutKeyword(part, rule) : part))
      const findings = branches.flatMap((branch) => this.#case(asked, [...rest, branch]))
      const isAlone = rule === 'anyOf' || areDisjoint(asked.a, branches)
      return isAlone ? findings : findings.map((one) => ({ ...one, answer: 'unknown' as const }))
    }
    const hasBranches = target.some((part) => 'anyOf' in part || 'oneOf' in part)
    const types = new Set([...atoms].map((atom) => (atom === 'fraction' ? 'number' : atom)))
    if (types.has('number')) types.delete('integer')
    if (!hasBranches || types.size < 2) return null
    return [...types].flatMap((type) => this.#case(asked, [...source, TYPE_PARTS[type]!]))
  }

  #case(asked: SubsetQuestion, nodes: readonly SchemaNode[]): readonly SubsetFinding[] {
    return this.ask({ ...asked, a: { side: asked.a.side, nodes } })
  }
}

function areDisjoint({ side }: Conjunction, branches: readonly SchemaNode[]): boolean {
  return branches.every((one, index) =>
    branches
      .slice(index + 1)
      .every((other) => isDisjoint({ side, nodes: [one] }, { side, nodes: [other] })),
  )
}

/** The parts that say no more than a type, each one object, so that pairs are recognized. */
const TYPE_PARTS: Readonly<Record<string, SchemaPart>> = Object.fromEntries(
  ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'].map((type) => [
    type,
    { type },
  ]),
)
