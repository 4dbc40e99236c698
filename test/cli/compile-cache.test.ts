/**
 * Goal: the command line starts faster the second time, and works where it cannot write. Method:
 * processes with a cache folder of their own, on a runtime that has a cache of compiled files.
 */
import { chmod, mkdir, mkdtemp, readdir, stat } from 'node:fs/promises'
import module from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { start } from './support.ts'

const hasCache = 'enableCompileCache' in module

async function version(env: NodeJS.ProcessEnv) {
  const { status, stdout, stderr } = await start(['--version'], env).ended
  return { status, isVersion: /^\d+\.\d+\.\d+\n$/.test(stdout), stderr }
}

const GOOD = { status: 0, isVersion: true, stderr: '' }

test('compiled files are kept in a folder that only the user can write to', async (context) => {
  if (!hasCache) return context.skip('this runtime keeps no compiled files: not run')
  const home = await mkdtemp(join(tmpdir(), 'it-mqtt-cache-'))
  expect(await version({ XDG_CACHE_HOME: home })).toEqual(GOOD)
  const folder = join(home, 'it-mqtt')
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
  const [first] = await readdir(folder)
  expect((await readdir(join(folder, first!))).length).toBeGreaterThan(0)
})

test('nothing is kept where others can write, or if it is switched off', async (context) => {
  if (!hasCache) return context.skip('this runtime keeps no compiled files: not run')
  const home = await mkdtemp(join(tmpdir(), 'it-mqtt-cache-'))
  expect(await version({ XDG_CACHE_HOME: home, NODE_DISABLE_COMPILE_CACHE: '1' })).toEqual(GOOD)
  expect(await readdir(home)).toEqual([])
  await mkdir(join(home, 'it-mqtt'))
  await chmod(join(home, 'it-mqtt'), 0o777)
  expect(await version({ XDG_CACHE_HOME: home })).toEqual(GOOD)
  expect(await readdir(join(home, 'it-mqtt'))).toEqual([])
})

test.each([
  ['a folder that cannot be made', { XDG_CACHE_HOME: '/dev/null' }],
  ['no place at all', { XDG_CACHE_HOME: '', HOME: '/dev/null' }],
  ['no home', { XDG_CACHE_HOME: '', HOME: '' }],
  ['a place that is not absolute', { XDG_CACHE_HOME: 'cache', HOME: '/dev/null' }],
])('%s changes nothing', async (_, env) => {
  expect(await version(env)).toEqual(GOOD)
})
