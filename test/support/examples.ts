/**
 * The examples of a document in Markdown: blocks of TypeScript, each with what it prints.
 */

export interface Example {
  /** Counts from 1 in each document. */
  readonly number: number
  /** The heading above it. */
  readonly heading: string
  readonly code: string
  /** The block of text below it. */
  readonly printed: string
  /** True if its first line is "```ts mqtt5". */
  readonly needsMqtt5: boolean
}

const PARTS = /^#+ (.*)$|^```ts( mqtt5)?\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm

export function examplesOf(markdown: string): Example[] {
  const examples: Example[] = []
  let heading = ''
  for (const [, title, mqtt5, code, printed = ''] of markdown.matchAll(PARTS)) {
    if (title !== undefined) heading = title
    if (code === undefined) continue
    const number = examples.length + 1
    examples.push({ number, heading, code, printed, needsMqtt5: mqtt5 !== undefined })
  }
  return examples
}
