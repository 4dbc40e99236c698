/**
 * What does a YAML text say, and where? The package `yaml` reads it, with the core schema and
 * without tags of others. It takes time that grows with the square of the names, and a text that is
 * nested a hundred thousand times ends the process; so a text is looked through before.
 */
import type { Document, LineCounter } from 'yaml'
import { UsageError } from '../../index.ts'
import type { ConfigPath } from './check-config.ts'
import { CONFIG_DEPTH_MAX, type ReadText, type TextPlace } from './read-json.ts'

type YamlModule = typeof import('yaml')

const ALIASES_MAX = 100
const LEXEMES_MAX = 50_000
const NAMES_MAX = 2000
/** The deepest indentation, in spaces: one space for each level is the least. */
const INDENT_MAX = 500

/** The messages of the parser quote the text, and a password may be in it. */
const YAML_FAULTS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this name stands twice in one table',
  TAB_AS_INDENT: 'a tab cannot indent a line in YAML; write spaces',
  MULTIPLE_DOCS: 'there is more than one document',
  BAD_INDENT: 'this line is indented wrongly',
  BAD_DQ_ESCAPE: 'this is no escape sequence of YAML',
  MISSING_CHAR: 'a character is missing here, such as a quotation mark',
  TAG_RESOLVE_FAILED: 'tags are not taken',
}

/** @throws UsageError `NO_YAML` if the package is not installed. */
export async function readYaml(text: string): Promise<ReadText> {
  const yaml = await loadYaml()
  const tooMuch = boundFault(yaml, text)
  if (tooMuch !== null) return unread(null, tooMuch)
  const lines = new yaml.LineCounter()
  const document = yaml.parseDocument(text, {
    ...{ version: '1.2', schema: 'core', merge: false, customTags: [], strict: true },
    ...{ uniqueKeys: true, prettyErrors: false, logLevel: 'error', lineCounter: lines },
  })
  const faults = [...document.errors, ...document.warnings].map(({ code, pos }) => ({
    place: linePlace(lines, pos[0]),
    message: YAML_FAULTS[code] ?? `this is not valid YAML (${code})`,
  }))
  if (faults.length > 0) return { value: undefined, faults, place: () => null }
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX })
    JSON.stringify(value)
    return { value, faults, place: (path, isName) => find(yaml, document, lines, path, isName) }
  } catch {
    const message = `its aliases cannot be used: they name nothing, contain themselves, or are more
      than ${ALIASES_MAX} when written out`
    return unread(null, message.replace(/\s+/g, ' '))
  }
}

function unread(place: TextPlace | null, message: string): ReadText {
  return { value: undefined, faults: [{ place, message }], place: () => null }
}

async function loadYaml(): Promise<YamlModule> {
  try {
    return await import('yaml')
  } catch (cause) {
    const what = 'loadConfig: the package yaml is needed for YAML, and cannot be loaded'
    throw new UsageError(`${what}: npm install yaml@2`, { code: 'NO_YAML', cause })
  }
}

/** @returns why a text is not even parsed, or null. */
function boundFault({ Lexer, CST }: YamlModule, text: string): string | null {
  const tooDeep = `it is nested deeper than ${CONFIG_DEPTH_MAX}`
  let [lexemes, names, inBrackets, inLine, isLineStart] = [0, 0, 0, 0, true]
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes > LEXEMES_MAX) return 'it has too many parts'
    const type = CST.tokenType(lexeme)
    if (type === 'newline') [inLine, isLineStart] = [0, true]
    else if (type === 'space' && isLineStart && lexeme.length > INDENT_MAX) return tooDeep
    else isLineStart = false
    if (type === 'flow-seq-start' || type === 'flow-map-start') inBrackets++
    if (type === 'flow-seq-end' || type === 'flow-map-end') inBrackets--
    if (type === 'seq-item-ind' || type === 'explicit-key-ind') inLine++
    if (type === 'map-value-ind' && ++names > NAMES_MAX)
      return `it has more than ${NAMES_MAX} names`
    if (inBrackets > CONFIG_DEPTH_MAX || inLine > CONFIG_DEPTH_MAX) return tooDeep
  }
  return null
}

function linePlace(lines: LineCounter, offset: number): TextPlace {
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

/** Goes the path through the nodes. */
function find(
  { isAlias, isMap, isSeq, isScalar, isNode }: YamlModule,
  document: Document,
  lines: LineCounter,
  path: ConfigPath,
  isName: boolean,
): TextPlace | null {
  let node: unknown = document.contents
  let range = document.contents?.range
  for (const [i, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    let name: unknown
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
      name = pair?.key
      node = pair?.value
    } else node = isSeq(node) ? node.items[Number(step)] : undefined
    const shown = isName && i === path.length - 1 ? name : node
    if (!isNode(shown)) break
    range = shown.range ?? range
  }
  return range ? linePlace(lines, range[0]) : null
}
