/**
 * What does a broken rule look like, and how is it shown? A rule returns violations; the allowlist
 * takes away those that are known, and the test shows the rest, each with its place and with what
 * to do.
 */

export interface Violation {
  /**
   * What the allowlist names it by. It has no line number, so that it stays the same when the file
   * is edited.
   */
  readonly key: string
  readonly path: string
  readonly line: number
  readonly problem: string
  /** What the author of the change should do. */
  readonly remedy: string
}

/** @returns one line for an editor or a terminal: place, problem, remedy. */
export function format({ path, line, problem, remedy }: Violation): string {
  return `${path}:${line}: ${problem}. ${remedy}.`
}

/**
 * Compares what a rule found with the entries that the allowlist has for it.
 *
 * @returns a line for each violation that is not allowed, and one for each entry that no violation
 * needs any more.
 */
export function compare(
  rule: string,
  found: readonly Violation[],
  allowed: readonly string[],
): readonly string[] {
  const keys = new Set(found.map(({ key }) => key))
  return [
    ...found.filter(({ key }) => !allowed.includes(key)).map(format),
    ...allowed
      .filter((key) => !keys.has(key))
      .map(
        (key) =>
          `test/support/tidy/allowlist.ts: "${key}" no longer breaks the rule "${rule}". ` +
          'Remove the entry: the list may only shrink.',
      ),
  ]
}
