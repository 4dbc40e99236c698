/**
 * Which TypeScript files are there, and what does each import and export? Files are parsed with
 * TypeScript's own parser, so that a word in a comment or a string is not taken for code. Paths are
 * relative to the repository: `src/loop/loop.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

/** One name of another module that a file refers to. */
export interface Import {
  /** The path of the file for a relative import, else the name of the package as it is written. */
  readonly target: string
  /** The exported name, or '*' if the import may use all of them. */
  readonly name: string
  readonly line: number
}

/** One name that a file exports. */
export interface Export {
  readonly name: string
  readonly line: number
}

export interface Source {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
  readonly exports: readonly Export[]
}

export function parse(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
  return { path, text, tree, imports: importsOf(tree), exports: exportsOf(tree) }
}

/** @returns all TypeScript files below a folder of the repository, parsed. */
export function readSources(folder: string): readonly Source[] {
  return readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => /\.ts$/.test(path) && !/\.d\.ts$|node_modules/.test(path))
    .sort()
    .map((path) => parse(path, readFileSync(`${root}/${path}`, 'utf8')))
}

export function lineOf(node: ts.Node): number {
  const tree = node.getSourceFile()
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

/** Calls `visit` for a node and everything below it. */
export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

/** What `#bytes` and its like mean on Node. */
const { compilerOptions } = JSON.parse(readFileSync(`${root}/tsconfig.json`, 'utf8')) as {
  readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> }
}

/**
 * @returns the path of the file that a relative import or one of `#bytes` and its like means. A
 *   package keeps its name.
 */
function resolve(importer: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(importer), specifier)
  const flavoured = specifier.startsWith('#') ? compilerOptions.paths[specifier] : undefined
  return flavoured === undefined ? specifier : posix.normalize(flavoured[0]!)
}

function importsOf(tree: ts.SourceFile): readonly Import[] {
  const found: Import[] = []
  walk(tree, (node) => {
    const specifier = specifierOf(node)
    if (specifier === null) return
    const target = resolve(tree.fileName, specifier.text)
    for (const name of importedNames(node)) found.push({ target, name, line: lineOf(node) })
  })
  return found
}

/** @returns the module that a node refers to, or null if it refers to none. */
function specifierOf(node: ts.Node): ts.StringLiteral | null {
  const specifier = specifierNode(node)
  return specifier !== undefined && ts.isStringLiteral(specifier) ? specifier : null
}

function specifierNode(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isExternalModuleReference(node)) return node.expression
  if (ts.isImportTypeNode(node)) {
    return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
  }
  const dynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
  return dynamic ? node.arguments[0] : undefined
}

function importedNames(node: ts.Node): readonly string[] {
  if (ts.isImportDeclaration(node)) {
    const clause = node.importClause
    const bindings = clause?.namedBindings
    const named = bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements : []
    const all = clause === undefined || (bindings !== undefined && ts.isNamespaceImport(bindings))
    return [
      ...(clause?.name === undefined ? [] : ['default']),
      ...named.map((element) => (element.propertyName ?? element.name).text),
      ...(all ? ['*'] : []),
    ]
  }
  if (ts.isExportDeclaration(node) && node.exportClause !== undefined) {
    return ts.isNamedExports(node.exportClause)
      ? node.exportClause.elements.map((element) => (element.propertyName ?? element.name).text)
      : ['*']
  }
  if (ts.isImportTypeNode(node) && node.qualifier !== undefined) {
    return [firstIdentifier(node.qualifier).text]
  }
  return ['*']
}

function firstIdentifier(name: ts.EntityName): ts.Identifier {
  return ts.isIdentifier(name) ? name : firstIdentifier(name.left)
}

function exportsOf(tree: ts.SourceFile): readonly Export[] {
  const found: Export[] = []
  for (const statement of tree.statements) {
    if (ts.isExportDeclaration(statement)) {
      const clause = statement.exportClause
      if (clause === undefined || !ts.isNamedExports(clause)) continue
      for (const { name } of clause.elements) found.push({ name: name.text, line: lineOf(name) })
    } else if (isExported(statement)) {
      for (const name of declaredNames(statement)) {
        found.push({ name: name.text, line: lineOf(name) })
      }
    }
  }
  return found
}

export function isExported(statement: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
  )
}

/** @returns the names that a statement at the top level of a file declares. */
export function declaredNames(statement: ts.Statement): readonly ts.Identifier[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => boundNames(name))
  }
  const declares =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEnumDeclaration(statement)
  return declares && statement.name !== undefined ? [statement.name] : []
}

/** @returns the identifiers that a name or a destructuring pattern declares. */
export function boundNames(name: ts.BindingName): readonly ts.Identifier[] {
  if (ts.isIdentifier(name)) return [name]
  return name.elements.flatMap((element) =>
    ts.isOmittedExpression(element) ? [] : boundNames(element.name),
  )
}
