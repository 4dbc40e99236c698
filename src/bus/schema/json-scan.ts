/**
 * Is a JSON text safe to parse, and does it mean one thing? Deep nesting costs a parser its stack;
 * of a name that stands twice in an object each reader takes another value.
 */
import { inQuotes } from '../bus-names.ts'

interface OpenPart {
  /** The names of an object so far; null in an array. */
  readonly names: Set<string> | null
  /** Whether the next text is a name. */
  isNameNext: boolean
}

/** @returns what is wrong with a text, or null. Whether it is JSON the parser says. */
export function textFault(text: string, depthMax: number): string | null {
  const open: OpenPart[] = []
  for (let at = 0; at < text.length; at++) {
    const unit = text[at]!
    const part = open.at(-1)
    if (unit === '"') {
      const end = endOfText(text, at)
      if (part?.names != null && part.isNameNext) {
        const name = nameIn(text.slice(at, end + 1))
        if (part.names.has(name)) return `the name ${inQuotes(name)} stands twice in an object`
        part.names.add(name)
        part.isNameNext = false
      }
      at = end
    } else if (unit === '{' || unit === '[') {
      if (open.length >= depthMax) return `it is nested deeper than ${depthMax} levels`
      open.push({ names: unit === '{' ? new Set() : null, isNameNext: unit === '{' })
    } else if (unit === '}' || unit === ']') open.pop()
    else if (unit === ',' && part !== undefined) part.isNameNext = part.names !== null
  }
  return null
}

/** @returns the position of the quotation mark that ends a text; the end if there is none. */
function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const unit = text[at]
    if (unit === '\\') at++
    else if (unit === '"') return at
  }
  return text.length
}

/** @returns the name that a JSON string has; the string itself if it is none. */
function nameIn(quoted: string): string {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return quoted
  }
}
