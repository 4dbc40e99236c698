/**
 * How does any text become cells of a terminal? What a terminal would obey, hide or reorder is
 * escaped, and a cell has exactly the columns that it should have.
 */
import stringWidth from 'string-width'

/** Control, format and unassigned characters, half surrogates, line separators, invisible ones. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
/** Characters that change how wide the one before is drawn, about which terminals disagree. */
const WIDENING = /\p{Variation_Selector}|\p{Emoji_Modifier}|\u200d|\u20e3/gu
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const SEGMENTER = new Intl.Segmenter()
const ASCII = /^[ -~]*$/

/** @returns the text with everything escaped that is not simply drawn. */
export function safeText(text: string): string {
  if (ASCII.test(text)) return text
  return text
    .replace(WIDENING, '')
    .normalize()
    .replace(UNSAFE, (character) => {
      const code = character.codePointAt(0)!.toString(16)
      return SHORT[character] ?? (code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, '0')}`)
    })
}

/** @returns the text in exactly so many columns: cut off with an ellipsis, or filled up. */
export function fitted(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  if (columns <= 0) return ''
  // No character has more than two columns, but some have none.
  const safe = safeText(text.slice(0, 4 * columns + 32))
  const cut = widthOf(safe) > columns ? `${head(safe, columns - 1)}…` : safe
  const blanks = ' '.repeat(Math.max(0, columns - widthOf(cut)))
  return side === 'left' ? `${cut}${blanks}` : `${blanks}${cut}`
}

/** @returns the first lines of the text, each of at most so many columns, which are at least 2. */
export function wrapped(text: string, columns: number, linesMax: number): string[] {
  const lines: string[] = []
  let rest = safeText(text)
  while (lines.length < linesMax) {
    // No character has more than two columns, but some have none.
    const next = rest.slice(0, 4 * columns)
    if (widthOf(next) <= columns) return [...lines, next]
    const most = head(next, columns)
    const blank = most.lastIndexOf(' ') + 1
    const line = blank > most.length / 2 && next[most.length] !== ' ' ? most.slice(0, blank) : most
    // A character with very many marks may be wider than a line.
    lines.push(line || String.fromCodePoint(rest.codePointAt(0)!))
    rest = rest.slice(lines.at(-1)!.length)
  }
  return lines
}

function widthOf(text: string): number {
  return ASCII.test(text) ? text.length : stringWidth(text)
}

/** @returns as much of the beginning as fits: whole characters with their combining marks. */
function head(text: string, columns: number): string {
  if (ASCII.test(text)) return text.slice(0, columns)
  let width = 0
  for (const { segment, index } of SEGMENTER.segment(text)) {
    width += stringWidth(segment)
    if (width > columns) return text.slice(0, index)
  }
  return text
}
