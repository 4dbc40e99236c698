/**
 * Does one name mean one thing, and is everything that is exported read? A name that is found in
 * two files sends its reader to the wrong one; an export that nobody reads is a promise without a
 * reason.
 */
import { posix } from 'node:path'
import { declaredNames, isExported, lineOf, type Source } from './sources.ts'
import type { Violation } from './violation.ts'

/** The files whose exports users import. */
const PUBLIC_ENTRIES = /^src\/(?:index|[a-z-]+\/index|bus\/testing\/index)\.ts$/

/** @returns the names of each file that any of `readers` imports; '*' stands for all names. */
function readNames(readers: readonly Source[]): ReadonlyMap<string, ReadonlySet<string>> {
  const read = new Map<string, Set<string>>()
  for (const { imports } of readers) {
    for (const { target, name } of imports) {
      if (!read.has(target)) read.set(target, new Set())
      read.get(target)!.add(name)
    }
  }
  return read
}

function unreadBy(sources: readonly Source[], readers: readonly Source[]): readonly Violation[] {
  const read = readNames(readers)
  return sources
    .filter(({ path }) => !PUBLIC_ENTRIES.test(path))
    .flatMap(({ path, exports }) => {
      // Who imports one of `#bytes` and its like reads both flavours.
      const readers = [read.get(path), read.get(twinOf(path))]
      if (readers.some((names) => names?.has('*'))) return []
      return exports
        .filter(({ name }) => !readers.some((names) => names?.has(name)))
        .map(({ name, line }) => ({
          key: `${path} ${name}`,
          path,
          line,
          problem: `no other file reads ${name}`,
          remedy: 'Remove `export`, or the code itself if its own file does not use it either',
        }))
    })
}

/** Rule: each export has a reader. */
export function unreadExports(
  sources: readonly Source[],
  others: readonly Source[],
): readonly Violation[] {
  return unreadBy(sources, [...sources, ...others])
}

/** Rule: what is exported for tests only is listed. */
export function exportsForTests(
  sources: readonly Source[],
  others: readonly Source[],
): readonly Violation[] {
  const unread = new Set(unreadExports(sources, others).map(({ key }) => key))
  return unreadBy(sources, sources)
    .filter(({ key }) => !unread.has(key))
    .map((violation) => ({
      ...violation,
      problem: violation.problem.replace('no other file', 'no other file of src'),
      remedy: 'Test through what src uses, or add the export to the list of those for tests',
    }))
}

function groupBy<T>(items: readonly T[], nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(nameOf(item))
    if (group === undefined) groups.set(nameOf(item), [item])
    else group.push(item)
  }
  return groups
}

/**
 * Applies a rule to what each flavour consists of: a file of node/ and its twin in web/ have the
 * same name and export the same names.
 */
function inEachFlavour(
  rule: (sources: readonly Source[]) => readonly Violation[],
  sources: readonly Source[],
): readonly Violation[] {
  const found = ['web', 'node'].flatMap((other) =>
    rule(sources.filter(({ path }) => !path.includes(`/${other}/`))),
  )
  return [...new Map(found.map((violation) => [violation.key, violation])).values()]
}

/** @returns the path of the file of node/ that a file of web/ stands for, or the path itself. */
function twinOf(path: string): string {
  return path.replace(/^(src\/.*)\/web\//, '$1/node/')
}

/** Rule: no base name twice, `index.ts` and the other flavour aside. */
export function repeatedFileNames(sources: readonly Source[]): readonly Violation[] {
  return inEachFlavour(filesWithOneName, sources)
}

function filesWithOneName(sources: readonly Source[]): readonly Violation[] {
  const paths = groupBy(sources, ({ path }) => posix.basename(path))
  paths.delete('index.ts')
  return [...paths].flatMap(([name, files]) =>
    files.length === 1
      ? []
      : files.map(({ path }) => ({
          key: path,
          path,
          line: 1,
          problem: `${files.length} files are called ${name}`,
          remedy: 'Name each by what it is',
        })),
  )
}

/**
 * Rule: an exported name is declared in one file. A private one, which a reader meets only where it
 * is declared, may stand in two.
 */
export function repeatedNames(sources: readonly Source[]): readonly Violation[] {
  return inEachFlavour(namesDeclaredTwice, sources)
}

function namesDeclaredTwice(sources: readonly Source[]): readonly Violation[] {
  const declarations = sources.flatMap(({ path, tree }) =>
    tree.statements.flatMap((statement) =>
      declaredNames(statement).map((node) => ({
        path,
        name: node.text,
        line: lineOf(node),
        exported: isExported(statement),
      })),
    ),
  )
  return [...groupBy(declarations, ({ name }) => name)].flatMap(([name, places]) => {
    const paths = [...new Set(places.map(({ path }) => path))]
    const allowed = places.some(({ exported }) => exported) ? 1 : 2
    if (paths.length <= allowed) return []
    return places.map(({ path, line }) => ({
      key: `${path} ${name}`,
      path,
      line,
      problem: `${name} is also declared in ${paths.filter((other) => other !== path).join(', ')}`,
      remedy: 'Share one, or name each by what it does',
    }))
  })
}
