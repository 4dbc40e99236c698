/** The text of docs/ERRORS.md: every code of an error or a warning, from the lists in src/error-codes.ts. */
import type ts from 'typescript'
import { wrapped } from './markdown.ts'
import { type Documented, described, document, find, membersOf } from './reference.ts'

const CLASSES = [
  ...['UsageError', 'ProtocolError', 'RefusedError', 'ConnectionError', 'StorageError', 'BugError'],
]

export interface Code {
  readonly code: string
  /** The names of the classes of the error, or none if it is a warning. */
  readonly classes: readonly string[]
  readonly when: string
  readonly remedy: string
}

const PARTS = /^When (.+?[.!?]) What to do: (.+)$/s

/** @returns the entry of a code; its docstring has to say when it occurs and what to do about it */
export function codeOf({ name, type, paragraphs }: Documented): Code {
  const [, when, remedy] = PARTS.exec(paragraphs.join(' ')) ?? []
  if (when === undefined || remedy === undefined) {
    throw new Error(`${name}: the docstring has to read "When … . What to do: …"`)
  }
  const classes = [...type.matchAll(/'(\w+)'/g)].map(([, one]) => one!)
  return {
    code: name,
    classes: classes.filter((one) => CLASSES.includes(one)),
    when: capitalized(when),
    remedy: capitalized(remedy),
  }
}

const capitalized = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** @returns the codes of `interface ErrorCodes` or `interface WarningCodes`, in alphabetical order */
function codesOf(files: readonly ts.SourceFile[], name: string): readonly Code[] {
  const codes = membersOf(find(files, name)).map(codeOf)
  return codes.sort((a, b) => (a.code < b.code ? -1 : 1))
}

export function errorsPage(files: readonly ts.SourceFile[]): string {
  const intro =
    'Every error that leaves the package belongs to one of six classes, which say who is at fault. Each has a' +
    ' stable `code` that programs may test, `retryable` (whether the same attempt may succeed later without' +
    ' anyone changing anything), `cause`, and a message that says what is wrong, where, and what to do. This' +
    ' page is made from the docstrings in `src/error-codes.ts` by `npm run docs`; `test/docs/pages.test.ts` compares the two.'
  const passed =
    'An error of the network may instead have the code that Node gave it, for example `ECONNREFUSED`,' +
    ' `ENOTFOUND` or `CERT_HAS_EXPIRED`.'
  return `${[
    '# Errors and warnings',
    wrapped(intro),
    '## Classes',
    ...CLASSES.map((name) => `### ${name}\n\n${described(document(find(files, name)))}`),
    '## Error codes',
    wrapped(passed),
    table(
      ['code', 'class', 'when', 'what to do'],
      codesOf(files, 'ErrorCodes').map(({ code, classes, when, remedy }) => [
        `\`${code}\``,
        classes.map((one) => `\`${one}\``).join(', '),
        when,
        remedy,
      ]),
    ),
    '## Warning codes',
    'A warning is given to `onWarning` as `{ code, message }`; the loop goes on.',
    table(
      ['code', 'when', 'what to do'],
      codesOf(files, 'WarningCodes').map(({ code, when, remedy }) => [`\`${code}\``, when, remedy]),
    ),
  ].join('\n\n')}\n`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
