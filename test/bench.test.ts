/** The benchmark compares with the peers that bench/README.md names: nobody made a peer slower. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const bench = fileURLToPath(new URL('../bench', import.meta.url))

test('the peers are unchanged', () => {
  const readme = readFileSync(join(bench, 'README.md'), 'utf8')
  const noted = [...readme.matchAll(/^\| (peers\/\S+) +\| ([0-9a-f]{64}) \|$/gm)]
  expect(noted.map(([, name]) => name)).toEqual(
    readdirSync(join(bench, 'peers'))
      .sort()
      .map((name) => `peers/${name}`),
  )
  for (const [, name, sum] of noted) {
    const bytes = readFileSync(join(bench, name!))
    expect(createHash('sha256').update(bytes).digest('hex'), name).toBe(sum)
  }
})
