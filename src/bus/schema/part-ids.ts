/**
 * Which parts of schemas are the same? Objects are numbered, so that a pair is recognized when it
 * is asked about again; so what is made of a part must be one object too.
 */
import { canonicalText } from './canonical-json.ts'

type AnyPart = Readonly<Record<string, unknown>>

interface KnownOfPart {
  readonly id: number
  text: string | null
  readonly remainders: Map<string, AnyPart>
}

const known = new WeakMap<AnyPart, KnownOfPart>()
let lastId = 0

function knownOf(part: AnyPart): KnownOfPart {
  const old = known.get(part)
  if (old !== undefined) return old
  const made = { id: ++lastId, text: null, remainders: new Map() }
  known.set(part, made)
  return made
}

/** @returns the same text for the same two sets of parts. */
export function pairIdOf(a: readonly AnyPart[], b: readonly AnyPart[]): string {
  const text = (parts: readonly AnyPart[]) =>
    parts
      .map((part) => knownOf(part).id)
      .sort((one, other) => one - other)
      .join()
  return `${text(a)}|${text(b)}`
}

/** @returns the canonical text of a part. */
export function textOfPart(part: AnyPart): string {
  const of = knownOf(part)
  of.text ??= canonicalText('a schema', part)
  return of.text
}

/** @returns a part without one of its keywords: the same object each time. */
export function withoutKeyword(part: AnyPart, keyword: string): AnyPart {
  if (!Object.hasOwn(part, keyword)) return part
  const { remainders } = knownOf(part)
  let rest = remainders.get(keyword)
  if (rest === undefined) {
    const { [keyword]: _, ...others } = part
    rest = others
    remainders.set(keyword, rest)
  }
  return rest
}
