/**
 * In which order were files written that carried the same name one after another? Their names say
 * it: the numbers and dates that logrotate and its like append, or the names that a symbolic link
 * pointed to. Pure functions over names.
 */

/** A file beside the one that is read, as a look at the folder finds it. */
export interface Sibling {
  readonly name: string
  /** When it was last written, in ms since 1970. Renaming and gzip keep it. */
  readonly modifiedAt: number
}

/** Which files were written after the one that was read, and before the present one. */
interface Between {
  /** The names, oldest first. */
  readonly names: readonly string[]
  /** Why a file may be missing among them, or null. */
  readonly gap: string | null
}

interface Suffix {
  readonly kind: 'number' | 'date'
  readonly text: string
}

const PACKED = /\.(gz|Z|bz2|xz|zst|lz4)$/
const NUMBER = /^\.(\d{1,4})$/
const DATE = /^[.\-_](\d[\d\-_.:T]{3,})$/
/** What ascends from one target of a link to the next. */
const ASCENDING = /^(?:\d[\d\-_.:T]*|[A-Za-z])$/
const natural = new Intl.Collator('en', { numeric: true })

/** @returns the name without the ending of a packed file. */
function unpackedName(name: string): string {
  return name.replace(PACKED, '')
}

/** @returns what all names of rotated files begin with: `app` for `app.log` and `app2.log`. */
export function stemOf(name: string): string {
  return /^.[^.\d]*/.exec(name)?.[0] ?? name
}

/** @returns what was put into the name of a rotated file, or null if it is not one of `base`. */
function suffixOf(name: string, base: string): Suffix | null {
  const plain = unpackedName(name)
  const dot = base.lastIndexOf('.')
  const [stem, ending] = dot > 0 ? [base.slice(0, dot), base.slice(dot)] : [base, '']
  let middle: string
  if (plain.startsWith(base)) middle = plain.slice(base.length)
  else if (ending !== '' && plain.startsWith(stem) && plain.endsWith(ending)) {
    middle = plain.slice(stem.length, -ending.length)
  } else return null
  const number = NUMBER.exec(middle)
  if (number !== null) return { kind: 'number', text: number[1]! }
  const date = DATE.exec(middle)
  return date === null ? null : { kind: 'date', text: date[1]! }
}

/** @returns whether the name is that of a rotated file of `base`. */
export function isRotated(name: string, base: string): boolean {
  return suffixOf(name, base) !== null
}

/** Sorts rotated files: oldest first. */
function byAge(base: string) {
  return (a: Sibling, b: Sibling): number => {
    const [x, y] = [suffixOf(a.name, base)!, suffixOf(b.name, base)!]
    if (x.kind !== y.kind) return a.modifiedAt - b.modifiedAt
    return x.kind === 'number' ? Number(y.text) - Number(x.text) : natural.compare(x.text, y.text)
  }
}

/**
 * @param base The name that is followed.
 * @param read The name that the file which was read has now, or null if it has none any more.
 * @param modifiedAt When the file that was read was last written.
 * @returns the rotated files that are younger than the one that was read.
 */
export function rotatedSince(
  siblings: readonly Sibling[],
  base: string,
  read: string | null,
  modifiedAt: number,
): Between {
  const rotated = siblings.filter(({ name }) => isRotated(name, base))
  // A file and its packed copy are one file; the unpacked one is whole as long as it is there.
  const plain = new Set(rotated.map(({ name }) => name).filter((name) => !PACKED.test(name)))
  const files = rotated
    .filter(({ name }) => !PACKED.test(name) || !plain.has(unpackedName(name)))
    .sort(byAge(base))
  const found = read === null ? null : suffixOf(read, base)
  if (found === null) {
    const younger = files.filter((file) => file.modifiedAt > modifiedAt)
    return { names: younger.map(({ name }) => name), gap: null }
  }
  const after = files
    .filter(({ name, modifiedAt: at }) => isAfter(suffixOf(name, base)!, found, at > modifiedAt))
    .map(({ name }) => name)
  return { names: after, gap: holeIn(after, base, found) }
}

function isAfter(suffix: Suffix, read: Suffix, isYounger: boolean): boolean {
  if (suffix.kind !== read.kind) return isYounger
  if (suffix.kind === 'number') return Number(suffix.text) < Number(read.text)
  return natural.compare(suffix.text, read.text) > 0
}

/** @returns which number is missing, or null. Dates may be missing without a gap. */
function holeIn(names: readonly string[], base: string, { kind, text }: Suffix): string | null {
  if (kind !== 'number') return null
  const numbers = new Set(names.map((name) => Number(suffixOf(name, base)!.text)))
  for (let number = Number(text) - 1; number >= 1; number--) {
    if (!numbers.has(number)) return `${base}.${number} is missing`
  }
  return null
}

/**
 * @param names All names in the folder of the targets.
 * @param from The target of the link that was read.
 * @param to The present target.
 * @returns the targets that the link had meanwhile: names that differ from both in an ascending
 *   number, date or single letter only.
 */
export function targetsBetween(names: readonly string[], from: string, to: string): Between {
  const [first, last] = [unpackedName(from), unpackedName(to)]
  const prefix = commonStart(first, last)
  const rest = [first.slice(prefix.length), last.slice(prefix.length)] as const
  const ending = reversed(commonStart(reversed(rest[0]), reversed(rest[1])))
  /** @returns the part in which names differ, or null if the name is of another kind. */
  const middleOf = (name: string): string | null => {
    const plain = unpackedName(name)
    if (plain.length < prefix.length + ending.length) return null
    if (!plain.startsWith(prefix) || !plain.endsWith(ending)) return null
    return plain.slice(prefix.length, plain.length - ending.length)
  }
  const [a, b] = [middleOf(from)!, middleOf(to)!]
  if (!ASCENDING.test(a) || !ASCENDING.test(b) || natural.compare(a, b) >= 0) {
    const targets = `${from}, then ${to}`
    return { names: [], gap: `the names of its targets (${targets}) do not say what came between` }
  }
  const between = names.filter((name) => {
    const middle = middleOf(name)
    if (middle === null || !ASCENDING.test(middle)) return false
    return natural.compare(a, middle) < 0 && natural.compare(middle, b) < 0
  })
  const plain = new Set(between.filter((name) => !PACKED.test(name)))
  return {
    names: between
      .filter((name) => plain.has(name) || !plain.has(unpackedName(name)))
      .sort((x, y) => natural.compare(middleOf(x)!, middleOf(y)!)),
    gap: null,
  }
}

/** @returns the letters with which both begin; a number that differs is not cut. */
function commonStart(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length).replace(/\d+$/, '')
}

function reversed(text: string): string {
  return [...text].reverse().join('')
}
