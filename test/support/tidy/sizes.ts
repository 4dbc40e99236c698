/**
 * Is everything small enough to be read? Files, functions and lines have a longest size
 * (CONTRIBUTING.md, "Sizes").
 */
import ts from 'typescript'
import { lineOf, type Source, walk } from './sources.ts'
import type { Violation } from './violation.ts'

export const FILE_LINES_MAX = 400
export const FUNCTION_LINES_MAX = 70
export const COLUMNS_MAX = 100

/** How far a word that cannot be broken may be indented. */
const INDENT_MAX = 12

export function longFiles(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n').length
    if (lines <= FILE_LINES_MAX) return []
    const problem = `the file has ${lines} lines; ${FILE_LINES_MAX} are allowed`
    return [{ key: path, path, line: lines, problem, remedy: 'Split it where a question ends' }]
  })
}

export function longFunctions(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, tree }) => {
    const found: Violation[] = []
    walk(tree, (node) => {
      if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
      const line = lineOf(node)
      const last = tree.getLineAndCharacterOfPosition(node.end).line + 1
      const lines = last - line + 1
      if (lines <= FUNCTION_LINES_MAX) return
      const name = functionName(node)
      found.push({
        key: `${path} ${name}`,
        path,
        line,
        problem: `${name} has ${lines} lines; ${FUNCTION_LINES_MAX} are allowed`,
        remedy: 'Split it; only one flat switch or table may stand in the allowlist',
      })
    })
    return found
  })
}

function functionName(node: ts.SignatureDeclaration): string {
  if (node.kind === ts.SyntaxKind.Constructor) return 'constructor'
  const { parent } = node
  if (node.name !== undefined) return node.name.getText()
  const named = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)
  return named || ts.isPropertyDeclaration(parent) ? parent.name.getText() : 'a function'
}

/**
 * Rule: a line fits into 100 columns, comments and messages too. A line that one word makes too
 * long cannot be broken, such as an address or a regular expression.
 */
export function wideLines(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, text }) =>
    text.split('\n').flatMap((content, index) => {
      const columns = [...content].length
      if (columns <= COLUMNS_MAX) return []
      if (content.split(' ').some((word) => word.length > COLUMNS_MAX - INDENT_MAX)) return []
      const problem = `the line has ${columns} columns; ${COLUMNS_MAX} are allowed`
      const remedy = 'Break it; a message is joined from two strings'
      return [{ key: path, path, line: index + 1, problem, remedy }]
    }),
  )
}
