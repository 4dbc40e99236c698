/** What is asked and found when two JSON Schemas are compared? */
import type { Atom, Conjunction, SchemaPart } from './schema-parts.ts'

/**
 * Which properties has a value that its schema neither names nor excludes: `any`, or none
 * (`absent`), because whoever makes values makes what the schema names?
 */
export type UndeclaredProperties = 'any' | 'absent'

/** Why not all values of one schema fit another. */
export interface SubsetFinding {
  /** The way into the value, as a JSON Pointer; `*` stands for all other names or positions. */
  readonly path: string
  readonly answer: 'no' | 'unknown'
  readonly text: string
}

/** A question: do all values that fit `a` fit `b`? */
export interface SubsetQuestion {
  readonly a: Conjunction
  readonly b: Conjunction
  /** Where in the value this is, as a JSON Pointer. */
  readonly path: string
  /** How deep in the value this is. */
  readonly level: number
}

/** A rule that all values must keep, and what is known of them. */
export interface RuleGiven {
  readonly asked: SubsetQuestion
  /** What all values fit. */
  readonly source: readonly SchemaPart[]
  /** The types that they can have. */
  readonly atoms: ReadonlySet<Atom>
  /** What has the rule. */
  readonly part: SchemaPart
  readonly rule: string
}

/** What answers questions about parts of a value. */
export interface SubsetContext {
  readonly undeclared: UndeclaredProperties
  ask(asked: SubsetQuestion): readonly SubsetFinding[]
}

export const NO_FINDINGS: readonly SubsetFinding[] = []

export function findingOf(path: string, answer: 'no' | 'unknown', text: string): SubsetFinding {
  return { path, answer, text }
}

/** @returns one step further into a value. */
export function pathInto(path: string, name: string): string {
  return `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}
