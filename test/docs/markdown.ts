/** What the generators of the pages under docs/ share. */

/** The width of prose and comments. */
export const COLUMNS = 100

/** @returns the text in lines of at most 100 columns; a word longer than that stands alone */
export function wrapped(text: string, indent = ''): string {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= COLUMNS) {
      lines[lines.length - 1] = `${line} ${word}`
    } else lines.push(lines.length === 0 ? word : `${indent}${word}`)
  }
  return lines.join('\n')
}
