/**
 * Goal: the list of codes is complete, and says of each when it occurs and what to do. Method: the list and the codes that
 * src uses are both read as text.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import * as classes from '../src/errors.ts'
import { DEVIATIONS } from '../src/protocol/deviations.ts'

const src = fileURLToPath(new URL('../src', import.meta.url))
const list = readFileSync(join(src, 'error-codes.ts'), 'utf8')

interface Entry {
  readonly doc: string
  readonly classes: readonly string[]
}

function entriesOf(name: string): ReadonlyMap<string, Entry> {
  const body = new RegExp(`interface ${name} \\{([\\s\\S]*?)\\n\\}`).exec(list)![1]!
  return new Map(
    [...body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+): (.*)/g)].map(
      ([, doc, code, type]) => [
        code!,
        { doc: doc!.replace(/\s*\n\s*\*\s*/g, ' ').trim(), classes: type!.match(/\w+/g)! },
      ],
    ),
  )
}

const errors = entriesOf('ErrorCodes')
const warnings = entriesOf('WarningCodes')

/**
 * Words in capitals that are no codes of ours: signals of a process, codes that Node or OpenSSL gives, files of
 * LevelDB, kinds of spans, and what the processes of a bus are asked.
 */
const FOREIGN =
  /^(?:SIG[A-Z]+|E(?!NDED)[A-Z]+|ERR_.*|LEVEL_.*|CERT_.*|IT_MQTT_URL|UNABLE_TO_.*|UTF|MQTT|TCP|TLS|SUBSCRIBE|UNSUBSCRIBE|CONNACK|DISCONNECT|CURRENT|LOCK|CLIENT|SERVER|PRODUCER|CONSUMER|PING|INFO|STATS)$/

const used = new Set(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'error-codes.ts')
    .flatMap((name) => [
      ...readFileSync(join(src, name), 'utf8').matchAll(
        // The command line has many words in capitals.
        name.startsWith('cli/') ? /\bcode(?::| [=!]?==?) '([A-Z_]+)'/g : /'([A-Z][A-Z_]*[A-Z])'/g,
      ),
    ])
    .map(([, word]) => word!)
    .filter((word) => !FOREIGN.test(word)),
)

describe('error codes', () => {
  test('every code that src uses is in the list, and every code of the list is used', () => {
    const listed = new Set([...errors.keys(), ...warnings.keys()])
    const known = (code: string) => listed.has(code) || code in DEVIATIONS
    expect([...used].filter((code) => !known(code))).toEqual([])
    expect([...listed].filter((code) => !used.has(code))).toEqual([])
    expect(errors.size).toBeGreaterThan(70)
  })

  test.each([...errors, ...warnings])('%s says when it occurs and what to do', (_, { doc }) => {
    expect(doc).toMatch(/^When .+\. What to do: .+\.$/)
  })

  test.each([...errors])('%s names a class of errors', (_, { classes: names }) => {
    for (const name of names) expect(classes).toHaveProperty(name)
  })
})
