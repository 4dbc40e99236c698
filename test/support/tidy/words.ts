/**
 * Which words may code use where? Node's words stand in few rooms, so that the others run in a
 * browser; the reducers have no clock, chance or promise, so that they replay; and the types are
 * not escaped.
 */
import ts from 'typescript'
import { boundNames, lineOf, type Source, walk } from './sources.ts'
import type { Violation } from './violation.ts'

const NODE_ROOMS = /^src\/(?:platform\/node|disk\/(?:node|file)|bus\/node|cli)\//

/** Here stand the words that every runtime has. */
const PLATFORM = /^src\/(?:platform|connection\/transport)\//

/** What Node shares with every other runtime. The loop asks its platform for them. */
const COMMON_GLOBALS: ReadonlySet<string> = new Set([
  ...['performance', 'queueMicrotask', 'setTimeout', 'clearTimeout'],
])

const NODE_GLOBALS: ReadonlySet<string> = new Set([
  'Buffer',
  'BufferEncoding',
  'NodeJS',
  'process',
  'require',
  'module',
  'global',
  '__dirname',
  '__filename',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
])

const IMPURE_GLOBALS: ReadonlySet<string> = new Set([
  ...NODE_GLOBALS,
  'AbortController',
  'AbortSignal',
  'Date',
  'Promise',
  'URL',
  'console',
  'crypto',
  'fetch',
  'globalThis',
])

/** One use of a name that no declaration in the file explains. */
interface GlobalUse {
  readonly word: string
  readonly line: number
}

function globalUses(tree: ts.SourceFile, words: ReadonlySet<string>): readonly GlobalUse[] {
  const declared = namesDeclaredIn(tree)
  const found: GlobalUse[] = []
  walk(tree, (node) => {
    if (!ts.isIdentifier(node) || !words.has(node.text)) return
    const isOfGlobalThis =
      ts.isPropertyAccessExpression(node.parent) &&
      node.parent.expression.getText() === 'globalThis'
    if (!isOfGlobalThis && (isMemberName(node) || declared.has(node.text))) return
    found.push({ word: node.text, line: lineOf(node) })
  })
  return found
}

/**
 * @returns whether an identifier names a member of something else, as in `loop.process` or `{
 * process: 1 }`.
 */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  if (ts.isBindingElement(parent)) return parent.propertyName === node
  const hasName =
    ts.isPropertyAssignment(parent) || ts.isClassElement(parent) || ts.isTypeElement(parent)
  return hasName && parent.name === node
}

function namesDeclaredIn(tree: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>()
  walk(tree, (node) => {
    if (ts.isVariableDeclaration(node) || ts.isParameter(node)) {
      for (const { text } of boundNames(node.name)) names.add(text)
    } else if (ts.isImportSpecifier(node) || ts.isFunctionDeclaration(node)) {
      if (node.name !== undefined) names.add(node.name.text)
    }
  })
  return names
}

/** Rule: `node:` modules and Node's globals stand in Node's flavour, on disk and in the command line only. */
export function nodeWords(sources: readonly Source[]): readonly Violation[] {
  return sources
    .filter(({ path }) => !NODE_ROOMS.test(path))
    .flatMap(({ path, tree, imports }) => {
      const modules = imports
        .filter(({ target }) => target.startsWith('node:'))
        .map(({ target, line }) => ({ word: target, line }))
      const uses = globalUses(tree, NODE_GLOBALS).filter(
        ({ word }) => !(PLATFORM.test(path) && COMMON_GLOBALS.has(word)),
      )
      return [...modules, ...uses].map(({ word, line }) => ({
        key: `${path} ${word}`,
        path,
        line,
        problem: `${word} exists in Node only`,
        remedy: 'Ask src/platform for it',
      }))
    })
}

/** Rule: a reducer decides, and neither waits nor asks a clock. */
export function impureWords(sources: readonly Source[]): readonly Violation[] {
  return sources
    .filter(({ path }) => path.startsWith('src/protocol/'))
    .flatMap(({ path, tree, imports }) => {
      const uses: GlobalUse[] = [...globalUses(tree, IMPURE_GLOBALS)]
      walk(tree, (node) => {
        const waits = ts.isAwaitExpression(node) || node.kind === ts.SyntaxKind.AsyncKeyword
        if (waits) uses.push({ word: 'async', line: lineOf(node) })
        const draws = ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random'
        if (draws) uses.push({ word: 'Math.random', line: lineOf(node) })
      })
      for (const { target, line } of imports) {
        if (!target.startsWith('src/')) uses.push({ word: target, line })
      }
      return uses.map(({ word, line }) => ({
        key: `${path} ${word}`,
        path,
        line,
        problem: `${word} in a reducer`,
        remedy: 'Let the loop do it, and give the result in an input',
      }))
    })
}

/** Rule: `require('it-mqtt')` works, which Node refuses for a module that waits while it loads. */
export function topLevelAwaits(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, tree }) => {
    const found: Violation[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isFunctionLike(node)) return
      const waits =
        ts.isAwaitExpression(node) ||
        (ts.isForOfStatement(node) && node.awaitModifier !== undefined) ||
        (ts.isVariableDeclarationList(node) &&
          (node.flags & ts.NodeFlags.AwaitUsing) === ts.NodeFlags.AwaitUsing)
      if (waits) {
        found.push({
          key: path,
          path,
          line: lineOf(node),
          problem: 'await at the top level of a module',
          remedy: 'Put it into a function: require() cannot load such a module',
        })
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
    return found
  })
}

/** Rule: no default exports, no marks for later, no escapes from the types. */
export function escapes(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, text, tree }) => {
    const found: Violation[] = []
    const add = (line: number, problem: string, remedy: string): void => {
      found.push({ key: `${path} ${problem}`, path, line, problem, remedy })
    }
    walk(tree, (node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) add(lineOf(node), 'any', 'Name the type')
      if (ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword) {
        if (!ts.isDefaultClause(node.parent)) add(lineOf(node), 'default export', 'Name it')
      }
    })
    text.split('\n').forEach((line, index) => {
      const mark = /\b(?:TODO|FIXME|XXX|HACK)\b/.exec(line)?.[0]
      if (mark !== undefined)
        add(index + 1, `a mark (${mark})`, 'Do it, or write it down elsewhere')
      const silenced = /@ts-(?:ignore|expect-error|nocheck)/.exec(line)?.[0]
      if (silenced !== undefined) add(index + 1, silenced, 'Mend the types')
    })
    return found
  })
}
