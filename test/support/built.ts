/**
 * Bundles src/ before the tests, as the package does, so that the tests of the command line start
 * plain JavaScript: a process that has to translate a hundred files first takes a second longer.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Runs once, before all test files. */
export default function setup(): () => void {
  const home = `${ROOT}node_modules/.cache/it-mqtt-tests/${process.pid}`
  const folder = `${home}/dist`
  mkdirSync(home, { recursive: true })
  // The command line reads its version there.
  copyFileSync(`${ROOT}package.json`, `${home}/package.json`)
  const { status, stderr } = spawnSync(process.execPath, ['esbuild.config.mjs', folder], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`src/ could not be bundled for the tests: ${stderr}`)
  process.env['IT_MQTT_BUILT'] = folder
  return () => rmSync(home, { recursive: true, force: true })
}

/** @returns the arguments of Node with which a program of src/ starts. */
export function program(path: string): string[] {
  const folder = process.env['IT_MQTT_BUILT']
  if (folder === undefined) return ['--import', 'tsx', `${ROOT}src/${path}.ts`]
  return [`${folder}/${path}.js`]
}
