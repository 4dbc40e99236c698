/**
 * Goal: docs/OPTIONS.md and docs/ERRORS.md say what the docstrings say. Method: the TypeScript parser
 * reads declarations and their docstrings; nothing is checked or resolved, so this takes a second.
 * TypeDoc's Markdown plugin prints its own layout and no table of codes (JOURNAL.md).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { wrapped } from './markdown.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Documented {
  readonly name: string
  /** The type as it is written; a declaration without one has ''. */
  readonly type: string
  /** The paragraphs of the docstring, each on one line. */
  readonly paragraphs: readonly string[]
  /** The tags of the docstring, for example `throws`, with what follows them. */
  readonly tags: readonly { readonly name: string; readonly text: string }[]
}

/** @returns every file under src, parsed */
export function sources(): readonly ts.SourceFile[] {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => parse(`src/${name}`, readFileSync(join(root, 'src', name), 'utf8')))
}

export function parse(name: string, text: string): ts.SourceFile {
  return ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
}

type Declaration =
  | ts.InterfaceDeclaration
  | ts.ClassDeclaration
  | ts.FunctionDeclaration
  | ts.TypeAliasDeclaration

const isDeclaration = (node: ts.Node): node is Declaration =>
  ts.isInterfaceDeclaration(node) ||
  ts.isClassDeclaration(node) ||
  ts.isFunctionDeclaration(node) ||
  ts.isTypeAliasDeclaration(node)

/** @returns the exported declaration of that name; there has to be exactly one */
export function find(files: readonly ts.SourceFile[], name: string): Declaration {
  const found = files
    .flatMap((file) => file.statements.filter(isDeclaration))
    .filter((node) => node.name?.text === name && isExported(node))
  if (found.length !== 1)
    throw new Error(`src has ${found.length} exported declarations of ${name}`)
  return found[0]!
}

const isExported = (node: Declaration) =>
  node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false

export function document(node: Declaration | ts.TypeElement): Documented {
  const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
  const text = docs.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join('\n\n')
  const tags = docs.flatMap(({ tags: all }) => [...(all ?? [])])
  return {
    name: node.name?.getText() ?? '',
    type: typeOf(node),
    paragraphs: text
      .split(/\n\s*\n/)
      .map(oneLine)
      .filter((line) => line !== ''),
    tags: tags.map((tag) => {
      const parameter = ts.isJSDocParameterTag(tag) ? `\`${tag.name.getText()}\`: ` : ''
      const said = oneLine(ts.getTextOfJSDocComment(tag.comment) ?? '')
      return { name: tag.tagName.text, text: `${parameter}${said}` }
    }),
  }
}

function typeOf(node: Declaration | ts.TypeElement): string {
  if (ts.isTypeAliasDeclaration(node) || ts.isPropertySignature(node)) {
    return compact(node.type === undefined ? '' : withoutUndefined(node.type))
  }
  if (!ts.isMethodSignature(node) && !ts.isFunctionDeclaration(node)) return ''
  const parameters = node.parameters.map((parameter) => parameter.getText()).join(', ')
  return compact(`(${parameters}) => ${node.type?.getText() ?? 'void'}`)
}

/** @returns the type; that an optional member may be undefined is true of all and not repeated */
function withoutUndefined(type: ts.TypeNode): string {
  if (!ts.isUnionTypeNode(type)) return type.getText()
  const types = type.types.filter(({ kind }) => kind !== ts.SyntaxKind.UndefinedKeyword)
  const [only] = types
  if (types.length === 1 && ts.isParenthesizedTypeNode(only!)) return only.type.getText()
  return types.map((one) => one.getText()).join(' | ')
}

/** @returns the type in one line, without its comments; members of an object are separated */
const compact = (type: string) =>
  oneLine(withoutComments(type).replace(/([^\s{|,(<])\s*\n\s*(?=readonly )/g, '$1; '))
    .replace(/([(<]) /g, '$1')
    .replace(/,? ([)>])/g, '$1')

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim()
const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')

/** @returns the members of an interface, or none if it is another declaration */
export function membersOf(node: Declaration): readonly Documented[] {
  return ts.isInterfaceDeclaration(node) ? node.members.map(document) : []
}

const TAGS: Readonly<Record<string, string>> = {
  param: '- ',
  returns: 'Returns ',
  throws: 'Throws ',
  default: 'Default: ',
  defaultValue: 'Default: ',
}

/** @returns the docstring in Markdown */
export function described({ name, paragraphs, tags }: Documented): string {
  const lines = tags.map(({ name: tag, text }) => {
    const begins = TAGS[tag]
    if (begins === undefined) throw new Error(`${name}: no page knows the tag @${tag}`)
    return wrapped(`${begins}${text}`, begins === '- ' ? '  ' : '')
  })
  if (paragraphs.length === 0 && tags.length === 0) throw new Error(`${name} has no docstring`)
  const parameters = lines.filter((line) => line.startsWith('- '))
  const others = lines.filter((line) => !line.startsWith('- '))
  return [...paragraphs.map((text) => wrapped(text)), parameters.join('\n'), ...others]
    .filter((part) => part !== '')
    .join('\n\n')
}
