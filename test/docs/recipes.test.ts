/**
 * Goal: the tests that docs/GUIDE.md shows pass in the runners that they are written for. Method:
 * each block "```ts test" is a file; vitest and Node run theirs. jest is not installed here, so its
 * recipe runs in vitest, whose `test` and `expect` behave as those of jest for what it uses.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { aliasesOf } from '../../vitest.config.ts'
import { recipesOf } from '../support/examples.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Below the root, so that the recipes find its node_modules and the paths of its tsconfig.json.
const folder = mkdtempSync(join(root, 'test/docs/run-'))
const recipes = recipesOf(readFileSync(join(root, 'docs/GUIDE.md'), 'utf8'))

afterAll(() => rmSync(folder, { recursive: true }))

/** @returns the recipe that imports from a package, as a file of its own. */
function recipeFor(runner: string): string {
  const code = recipes.filter((text) => text.includes(`from '${runner}'`))
  expect(code).toHaveLength(1)
  const name = `${runner.replaceAll(/\W/g, '-')}.test.ts`
  writeFileSync(join(folder, name), code[0]!.replace("from '@jest/globals'", "from 'vitest'"))
  return join(folder, name)
}

/** @returns what a program of Node printed; it rejects if the program failed. */
async function node(args: readonly string[]): Promise<string> {
  const { FORCE_COLOR: _, NODE_TEST_CONTEXT: __, ...env } = process.env
  const options = { cwd: root, timeout: 60_000, env: { ...env, NO_COLOR: '1' } }
  const { stdout } = await promisify(execFile)(process.execPath, [...args], options)
  return stdout
}

test.each([
  ['vitest', 2],
  ['@jest/globals', 1],
])('the recipe for %s passes', async (runner, count) => {
  const path = recipeFor(runner)
  const config = join(folder, `${count}.config.ts`)
  const alias = JSON.stringify({ alias: aliasesOf('node') })
  const include = JSON.stringify([path])
  writeFileSync(config, `export default { resolve: ${alias}, test: { include: ${include} } }`)
  const printed = await node([
    ...[join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', config],
  ])
  expect(printed).toMatch(new RegExp(`Tests +${count} passed`))
})

test('the recipe for node:test passes', async () => {
  const printed = await node(['--import', 'tsx', '--test', recipeFor('node:test')])
  expect(printed).toMatch(/pass 1$/m)
})
