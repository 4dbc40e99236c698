/**
 * Goal: a package that cannot be loaded is told as what it is: not installed, forbidden, or broken.
 * Method: a table of the errors of all runtimes, and real processes with permissions that lack.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { importFailure } from '../../src/platform/import-failure.ts'
import { finish } from '../support/process.ts'
import { type RuntimeName, requireRuntime } from '../support/runtimes.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const WS = { name: 'ws', need: 'url: ws: needs ws', install: 'ws@8', code: 'NO_WEBSOCKET' } as const

const notFound = 'ERR_MODULE_NOT_FOUND'
const denied = {
  code: 'ERR_ACCESS_DENIED',
  permission: 'FileSystemRead',
  resource: '/app/node_modules/ws/package.json',
}
const readFlag =
  'FileSystemRead of /app/node_modules/ws/package.json; start Node with --allow-fs-read'

const TABLE: readonly (readonly [string, unknown, string, string])[] = [
  [
    'Node and Bun do not find it',
    { code: notFound, message: "Cannot find package 'ws' imported from /app/main.js" },
    'NO_WEBSOCKET',
    'npm install ws@8',
  ],
  [
    'Deno does not find it',
    { code: notFound, message: 'Import "ws" not a dependency' },
    'NO_WEBSOCKET',
    'npm install ws@8',
  ],
  [
    'a bundle of CommonJS does not find it',
    {
      code: 'MODULE_NOT_FOUND',
      message: "Cannot find module 'ws'\nRequire stack:\n- /app/main.cjs",
    },
    'NO_WEBSOCKET',
    'npm install ws@8',
  ],
  [
    'it misses a package of its own',
    {
      code: notFound,
      message: "Cannot find package 'utf' imported from /app/node_modules/ws/a.js",
    },
    'PACKAGE_FAILED',
    "Cannot find package 'utf' imported from /app/node_modules/ws/a.js",
  ],
  [
    'a file of it is missing',
    {
      code: notFound,
      message: "Cannot find package '/app/node_modules/ws/index.js' imported from x",
    },
    'PACKAGE_FAILED',
    "Cannot find package '/app/node_modules/ws/index.js' imported from x",
  ],
  [
    'Node 22 and later forbid reading it',
    {
      ...denied,
      message: 'Access to this API has been restricted. Use --allow-fs-read to manage permissions.',
    },
    'PACKAGE_FORBIDDEN',
    readFlag,
  ],
  [
    'Node 20 forbids reading it',
    { ...denied, message: 'Access to this API has been restricted' },
    'PACKAGE_FORBIDDEN',
    readFlag,
  ],
  [
    'a permission of Node that is new',
    { code: 'ERR_ACCESS_DENIED', permission: 'Moon', resource: '', message: 'Use --allow-moon.' },
    'PACKAGE_FORBIDDEN',
    'Moon; Use --allow-moon.',
  ],
  [
    'Node forbids addons',
    { code: 'ERR_DLOPEN_DISABLED', message: 'Cannot load native addon' },
    'PACKAGE_FORBIDDEN',
    'start Node with --allow-addons',
  ],
  [
    'Deno forbids what it does while it is loaded',
    {
      name: 'NotCapable',
      message: 'Requires env access to "WS_NO", run again with the --allow-env flag',
    },
    'PACKAGE_FORBIDDEN',
    'Requires env access to "WS_NO", run again with the --allow-env flag',
  ],
  [
    'it has no binary for this system',
    new Error('No native build was found for platform=linux arch=riscv64'),
    'PACKAGE_FAILED',
    'No native build was found for platform=linux arch=riscv64',
  ],
  ['it throws what is no error', 'a text', 'PACKAGE_FAILED', 'a text'],
]

test.each(TABLE)('%s', (_, cause, code, ending) => {
  const error = importFailure(cause, WS)
  expect(error.code).toBe(code)
  expect(error.message.startsWith(WS.need)).toBe(true)
  expect(error.message.endsWith(ending)).toBe(true)
  expect(error.cause).toBe(cause)
  expect(error.message.includes('npm install')).toBe(code === 'NO_WEBSOCKET')
})

/** A program that prints the code and the message of the error that it meets. */
function programOf(body: string): { path: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-import-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'program.mjs')
  const built = process.env['IT_MQTT_BUILT']!
  writeFileSync(
    path,
    `import { connect } from ${JSON.stringify(`${built}/index.js`)}
import { spool } from ${JSON.stringify(`${built}/disk/index.js`)}
try {
  ${body}
  console.log('ok')
} catch (error) {
  console.log(error.code, error.message)
}
`,
  )
  return { path, folder }
}

const WEBSOCKET = "await connect({ url: 'ws://127.0.0.1:1', connectTimeout: 5000 })"
const disk =
  'const queue = await spool(new URL("queue", import.meta.url).pathname); await queue.close()'

/** The runtime that runs the tests, and those that npm installs. */
const NODES = ['this', 'node-22', 'node-24'] as const

/** Bun and Deno give the processes that they start permissions of their own. */
function requireNode(context: TestContext): void {
  const isNode = !('bun' in process.versions || 'deno' in process.versions)
  if (!isNode) context.skip('the tests do not run in Node: not run')
}

function nodeOf(name: 'this' | RuntimeName, context: TestContext): { node: string; flag: string } {
  requireNode(context)
  const node = name === 'this' ? process.execPath : requireRuntime(name, context)
  const isOld = name === 'this' && Number(process.versions.node.split('.')[0]) < 22
  return { node, flag: isOld ? '--experimental-permission' : '--permission' }
}

const reading = (...paths: readonly string[]) => paths.map((path) => `--allow-fs-read=${path}`)

test.for(NODES)('what %s Node forbids is told with its flag', async (name, context) => {
  const { node, flag } = nodeOf(name, context)
  const run = async (body: string, flags: readonly string[]) => {
    const { path, folder } = programOf(body)
    const whole = flags.map((one) => one.replace('{folder}', folder))
    return (await finish(node, [flag, ...whole, path])).stdout
  }
  const packages = readdirSync(`${ROOT}node_modules`).filter((one) => one !== 'ws')
  const allButWs = packages.map((one) => `${ROOT}node_modules/${one}/*`)
  const own = [`${ROOT}package.json`, '{folder}/*']
  expect(await run(WEBSOCKET, reading(...own, ...allButWs))).toMatch(
    /^PACKAGE_FORBIDDEN .*url: ws: and wss: need .* FileSystemRead of .*node_modules\/ws.*--allow-fs-read\.?$/m,
  )
  expect(await run(WEBSOCKET, reading('*'))).toMatch(/^ECONNREFUSED /)
  expect(await run(disk, reading('*'))).toMatch(/^PACKAGE_FORBIDDEN .*--allow-addons\.?$/m)
  const write = '--allow-fs-write={folder}/*'
  expect(await run(disk, [...reading('*'), write, '--allow-addons'])).toBe('ok\n')
})

test('what Deno forbids is told with its flag', async (context) => {
  requireNode(context)
  const deno = requireRuntime('deno', context)
  const run = async (body: string, ...flags: readonly string[]) => {
    const { path } = programOf(body)
    const settings = ['--node-modules-dir=manual', '--no-prompt', '--quiet']
    return (await finish(deno, ['run', ...settings, ...flags, path])).stdout
  }
  const dialling = "await connect({ url: 'mqtt://127.0.0.1:1', reconnect: 'always' })"
  // A permission does not come by itself, so the dial is not tried again.
  expect(await run(dialling)).toMatch(/^CONNECT_FAILED .*net access.*--allow-net flag\.$/m)
  const some = ['--allow-net', '--allow-read', '--allow-write']
  expect(await run(WEBSOCKET, ...some)).toMatch(
    /^PACKAGE_FORBIDDEN .*env access.*--allow-env flag\.?$/m,
  )
  expect(await run(WEBSOCKET, '--allow-net', '--allow-env')).toMatch(/^ECONNREFUSED /)
  expect(await run(disk, ...some)).toMatch(/^PACKAGE_FORBIDDEN .*env access.*--allow-env flag\.?$/m)
  const forDisk = ['--allow-env', '--allow-sys', '--allow-ffi']
  expect(await run(disk, ...some, ...forDisk)).toBe('ok\n')
})
