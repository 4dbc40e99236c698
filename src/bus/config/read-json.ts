/**
 * What does a JSON text say, and where? `JSON.parse` knows no places and takes a name that stands
 * twice, and its messages quote the text, in which a password may be.
 */
import type { ConfigPath } from './check-config.ts'

/** Where something stands in a text: line and column, from 1. */
export interface TextPlace {
  readonly line: number
  readonly column: number
}

/** A text that was read, or why it cannot be. */
export interface ReadText {
  readonly value: unknown
  readonly faults: readonly { readonly place: TextPlace | null; readonly message: string }[]
  /** Finds the value at a path, or its name. */
  place(path: ConfigPath, isName: boolean): TextPlace | null
}

/** How deep a configuration may be nested. */
export const CONFIG_DEPTH_MAX = 64

const SPACE = /[ \t\r\n]*/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

class JsonFault extends Error {}

/** @returns the value of a JSON text. */
export function readJson(text: string): ReadText {
  const reader = new JsonReader(text)
  const place = (offset: number) => placeIn(text, offset)
  try {
    const value = reader.whole()
    const faults = reader.repeated.map((offset) => ({
      place: place(offset),
      message: 'this name stands twice in one table',
    }))
    return {
      ...{ value, faults },
      place: (path, isName) => {
        const found = reader.places.get(pathKey(path, isName))
        return found === undefined ? null : place(found)
      },
    }
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    const faults = [{ place: place(reader.offset), message: error.message }]
    return { value: undefined, faults, place: () => null }
  }
}

/** @returns line and column of a position in a text. */
function placeIn(text: string, offset: number): TextPlace {
  const before = text.slice(0, offset).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
}

function pathKey(path: ConfigPath, isName: boolean): string {
  return `${isName} ${JSON.stringify(path)}`
}

class JsonReader {
  readonly places = new Map<string, number>()
  readonly repeated: number[] = []
  readonly #text: string
  offset = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): unknown {
    const value = this.#value([])
    if (this.#next() !== undefined)
      throw new JsonFault('this is not valid JSON: it should end here')
    return value
  }

  /** @returns the next character that is no space. */
  #next(): string | undefined {
    this.#match(SPACE)
    return this.#text[this.offset]
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.offset
    const [found = null] = pattern.exec(this.#text) ?? []
    this.offset += found?.length ?? 0
    return found
  }

  #take(character: string): boolean {
    if (this.#next() !== character) return false
    this.offset++
    return true
  }

  #value(path: ConfigPath): unknown {
    if (path.length > CONFIG_DEPTH_MAX)
      throw new JsonFault(`this is nested deeper than ${CONFIG_DEPTH_MAX}`)
    this.#match(SPACE)
    this.places.set(pathKey(path, false), this.offset)
    if (this.#take('{')) return this.#table(path)
    if (this.#take('[')) return this.#list(path)
    const scalar = this.#match(STRING) ?? this.#match(SCALAR)
    if (!scalar) throw new JsonFault('this is not valid JSON: a value is expected here')
    return JSON.parse(scalar)
  }

  #list(path: ConfigPath): unknown[] {
    const list: unknown[] = []
    if (this.#take(']')) return list
    do list.push(this.#value([...path, list.length]))
    while (this.#take(','))
    if (this.#take(']')) return list
    throw new JsonFault('this is not valid JSON: "," or "]" is expected here')
  }

  #table(path: ConfigPath): object {
    const entries = new Map<string, unknown>()
    if (this.#take('}')) return {}
    do {
      this.#match(SPACE)
      const at = this.offset
      const quoted = this.#match(STRING)
      if (quoted === null) throw new JsonFault('this is not valid JSON: a name in "" is expected')
      const name = JSON.parse(quoted) as string
      if (entries.has(name)) this.repeated.push(at)
      const inner = [...path, name]
      this.places.set(pathKey(inner, true), at)
      if (!this.#take(':')) throw new JsonFault('this is not valid JSON: ":" is expected here')
      entries.set(name, this.#value(inner))
    } while (this.#take(','))
    if (this.#take('}')) return Object.fromEntries(entries)
    throw new JsonFault('this is not valid JSON: "," or "}" is expected here')
  }
}
