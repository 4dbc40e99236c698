/**
 * Goal: docs/OPTIONS.md and docs/ERRORS.md say what the docstrings in src say, and
 * docs/TOLERANCE.md what the table of deviations says, docs/CLI.md and docs/it-mqtt.1 what the
 * definitions of the commands say. Method: the pages are made here and compared; `npm run docs` writes them. test/errors.test.ts holds that the lists of
 * codes are complete.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { manPage } from '../../src/cli/man-page.ts'
import { programFor } from '../../src/cli/program.ts'
import { cliPage } from './cli-page.ts'
import { codeOf, errorsPage } from './errors-page.ts'
import { optionsPage } from './options-page.ts'
import { described, document, find, membersOf, parse, root, sources } from './reference.ts'
import { tolerancePage } from './tolerance-page.ts'

const FIXTURE = parse(
  'fixture.ts',
  `/** All codes. */
export interface ErrorCodes {
  /** When the server says no. What to do: ask
   * again. */
  NO: 'RefusedError'
  /** When nobody knows. */
  ODD: 'BugError'
}
/**
 * Opens it.
 *
 * Or not.
 * @param path where it is
 * @throws UsageError if it is closed
 */
export function open(path: string): void {}`,
)

describe('the generator', () => {
  const [no, odd] = membersOf(find([FIXTURE], 'ErrorCodes'))
  test('takes a code apart', () => {
    const { code, classes, when, remedy } = codeOf(no!)
    expect([code, classes, when, remedy]).toEqual([
      'NO',
      ['RefusedError'],
      'The server says no.',
      'Ask again.',
    ])
  })
  test('refuses a code that does not say what to do', () => {
    expect(() => codeOf(odd!)).toThrow('ODD: the docstring has to read')
  })
  test('writes paragraphs, parameters and errors', () => {
    expect(described(document(find([FIXTURE], 'open')))).toBe(
      'Opens it.\n\nOr not.\n\n- `path`: where it is\n\nThrows UsageError if it is closed',
    )
  })
  test('refuses a name without a docstring, or that is declared twice', () => {
    const bare = parse('bare.ts', 'export interface A { readonly b: string }')
    expect(() => described(document(find([bare], 'A')))).toThrow('A has no docstring')
    expect(() => find([bare, bare], 'A')).toThrow('2 exported declarations')
  })
})

describe('src', () => {
  const files = sources()

  test('docs/OPTIONS.md is made from the docstrings', async () => {
    await expect(optionsPage(files)).toMatchFileSnapshot(join(root, 'docs/OPTIONS.md'))
  })

  test('docs/ERRORS.md is made from the lists in src/error-codes.ts', async () => {
    await expect(errorsPage(files)).toMatchFileSnapshot(join(root, 'docs/ERRORS.md'))
  })

  test('docs/TOLERANCE.md is made from the table in src/protocol/deviations.ts', async () => {
    await expect(tolerancePage()).toMatchFileSnapshot(join(root, 'docs/TOLERANCE.md'))
  })

  test('docs/CLI.md is made from the definitions of the commands', async () => {
    await expect(cliPage(await programFor([]))).toMatchFileSnapshot(join(root, 'docs/CLI.md'))
  })

  test('docs/it-mqtt.1 is made from the definitions of the commands', async () => {
    await expect(manPage(await programFor([]))).toMatchFileSnapshot(join(root, 'docs/it-mqtt.1'))
  })
})
