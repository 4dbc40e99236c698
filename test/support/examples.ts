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
}

const PARTS = /^#+ (.*)$|^```ts\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm

export function examplesOf(markdown: string): Example[] {
  const examples: Example[] = []
  let heading = ''
  for (const [, title, code, printed = ''] of markdown.matchAll(PARTS)) {
    if (title !== undefined) heading = title
    if (code === undefined) continue
    const number = examples.length + 1
    examples.push({ number, heading, code, printed })
  }
  return examples
}

/** The blocks of a document that begin with "```ts test": files of tests for a test runner. */
export function recipesOf(markdown: string): string[] {
  return [...markdown.matchAll(/^```ts test\n([\s\S]*?)^```\n/gm)].map(([, code]) => code!)
}
