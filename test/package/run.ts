/**
 * The package as its users get it: packed, installed into an empty folder, imported and required,
 * run, compiled against, and checked by publint and attw. `npm run test:package` prints a line for
 * each step, and ends with status 1 at the first that fails.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Aedes } from 'aedes'
import { build } from 'esbuild'
import { examplesOf } from '../support/examples.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CONSUMER = fileURLToPath(new URL('./consumer', import.meta.url))
/** The budget for all that is installed, the package included. */
const INSTALLED_PACKAGES_MAX = 32
const INSTALLED_BYTES_MAX = 6_500_000

/** What a bundler leaves of the package if a program imports one name; see tree-shaking.test.ts. */
const BUNDLE_BYTES_MAX = { topic: 12_500, text: 4_800, createClient: 375_000 }
/** What is installed beside the package to lint a program that uses it. */
const LINTER = ['eslint@10', 'typescript-eslint@8', 'typescript@5.9']

/**
 * How TypeScript resolves modules for those whom the package does not serve: for CommonJS, and
 * before it knew `exports` and `imports`.
 */
const IGNORED_RESOLUTIONS: ReadonlySet<string> = new Set(['node10', 'node16-cjs'])

/** What is used of the JSON that attw prints. */
interface Analysis {
  readonly entrypoints: Readonly<Record<string, unknown>>
  readonly problems: readonly {
    readonly kind: string
    readonly resolutionKind?: string
    readonly resolutionOption?: string
  }[]
}

const execute = promisify(execFile)

async function run(cwd: string, file: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await execute(file, args, { cwd, maxBuffer: 1 << 26 })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${file} ${args.join(' ')} failed\n${stdout}${stderr}`)
  }
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await work()
  console.log(`ok   ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`)
  return result
}

const bin = (name: string) => join(ROOT, 'node_modules', '.bin', name)

/** @returns how many packages a node_modules folder holds, nested ones too, and their bytes. */
async function measure(folder: string): Promise<{ packages: number; bytes: number }> {
  let packages = 0
  let bytes = 0
  const files = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const file of files) {
    if (!file.isFile()) continue
    const path = join(file.parentPath, file.name)
    bytes += (await readFile(path)).length
    const inner = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    if (/^(@[^/]+\/)?[^/]+\/package\.json$/.test(inner)) packages++
  }
  return { packages, bytes }
}

const temporary = await mkdtemp(join(tmpdir(), 'it-mqtt-package-'))
const broker = await Aedes.createBroker()
const server = createServer(broker.handle)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
const home = join(temporary, 'home')

try {
  const tarball = await step('pack', async () => {
    const output = await run(ROOT, 'npm', 'pack', '--json', '--pack-destination', temporary)
    // The build prints before the JSON.
    const [packed] = JSON.parse(output.slice(output.indexOf('[\n')))
    const files = packed.files.map(({ path }: { path: string }) => path) as string[]
    const names = ['bus', 'bus/testing', 'client', 'doctor', 'event-stream', 'presence', 'testing']
    const layers = names.flatMap((name) => [`dist/${name}/index.js`, `dist/${name}/index.d.ts`])
    for (const path of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'LICENSE',
      ...layers,
    ]) {
      assert.ok(files.includes(path), `${path} is missing in the package`)
    }
    const expected = /^(dist\/|docs\/(?!data\/)|bench\/README\.md$|[A-Z-]+(\.md)?$|package\.json$)/
    const stray = files.filter((path) => !expected.test(path))
    assert.deepEqual(stray, [], 'the package holds what it should not')
    return join(temporary, packed.filename)
  })

  await step('install into an empty folder', async () => {
    await cp(CONSUMER, home, { recursive: true })
    await run(home, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball)
    const { packages, bytes } = await measure(join(home, 'node_modules'))
    const size = `${packages} packages, ${(bytes / 1e6).toFixed(2)} MB`
    assert.ok(packages <= INSTALLED_PACKAGES_MAX && bytes <= INSTALLED_BYTES_MAX, size)
    console.log(`     ${size}`)
  })

  await step('import and run', async () => {
    assert.equal(await run(home, process.execPath, 'example.js', url), 'received hello\n')
  })

  await step('the first program of the README, as it stands there', async () => {
    const [first] = examplesOf(await readFile(join(ROOT, 'README.md'), 'utf8'))
    assert.ok(first)
    await writeFile(join(home, 'first.mjs'), first.code.replace('mqtt://localhost', url))
    assert.equal(await run(home, process.execPath, 'first.mjs'), first.printed)
  })

  await step('require', async () => {
    assert.equal(await run(home, process.execPath, 'required.cjs', url), 'delivered\n')
  })

  await step('command line', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    assert.equal(await run(home, 'npx', '--no-install', 'it-mqtt', '--version'), `${version}\n`)
    const command = join(home, 'node_modules', '.bin', 'it-mqtt')
    await run(home, command, 'pub', 'greeting', 'hello', '--retain', '--qos', '1', '--url', url)
    const message = await run(home, command, 'sub', 'greeting', '-C', '1', '--json', '--url', url)
    assert.equal(JSON.parse(message).payload, 'hello')
    await run(home, command, 'pipe', 'requests.ndjson', '--url', url)
  })

  await step('WebSocket without its package is an error that names it', async () => {
    const failed = run(home, process.execPath, 'example.js', 'ws://127.0.0.1:1')
    await assert.rejects(failed, /ws: and wss: need the package ws: npm install ws@8/)
  })

  await step('disk, without its engine and with it', async () => {
    const disk = () => run(home, process.execPath, 'disk.js', url)
    assert.equal(await disk(), 'NO_STORAGE_ENGINE\n')
    const { peerDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const engine = `classic-level@${peerDependencies['classic-level']}`
    // Its binaries are in the package: no script has to run to install it.
    const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts']
    await run(home, 'npm', 'install', ...flags, engine)
    assert.equal(await disk(), 'delivered 2, 0 left\n')
  })

  await step('compile against it, strictly', async () => {
    const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const types = `@types/node@${devDependencies['@types/node']}`
    await run(home, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', types)
    for (const resolution of ['nodenext', 'bundler']) {
      await run(home, bin('tsc'), '-p', `tsconfig.${resolution}.json`)
    }
  })

  await step('a bundle of one import is small', async () => {
    for (const [name, bytesMax] of Object.entries(BUNDLE_BYTES_MAX)) {
      const contents = `import { ${name} } from 'it-mqtt/client'\nconsole.log(${name})`
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: home },
        ...{ bundle: true, minify: true, format: 'esm', platform: 'node', write: false },
        external: ['abort-controller-x', 'it-pushable', 'p-retry', 'ws'],
      })
      const bytes = outputFiles[0]?.contents.length ?? Number.POSITIVE_INFINITY
      assert.ok(bytes <= bytesMax, `${name}: ${bytes} bytes, ${bytesMax} are allowed`)
      console.log(`     ${name}: ${bytes} bytes`)
    }
  })

  await step('lint a program of the client, with the strictest rules on types', async () => {
    const flags = ['--no-audit', '--no-fund', '--prefer-offline']
    await run(home, 'npm', 'install', ...flags, ...LINTER)
    const eslint = join(home, 'node_modules', '.bin', 'eslint')
    await run(home, eslint, '--max-warnings', '0', 'linted.ts')
    const careless = run(home, eslint, 'floating.ts')
    await assert.rejects(careless, /no-floating-promises[\s\S]*no-misused-promises/)
  })

  await step('publint', () => run(ROOT, bin('publint'), tarball, '--strict'))
  await step('attw', async () => {
    const flags = ['--format', 'json', '--profile', 'esm-only']
    // It ends with status 1 if it found anything, also what does not count; and it ends at once,
    // so what a pipe has not taken by then is lost, where a file takes all of it.
    const report = join(temporary, 'attw.json')
    const file = await open(report, 'w')
    const attw = spawn(bin('attw'), [tarball, ...flags], { stdio: ['ignore', file.fd, 'inherit'] })
    await once(attw, 'close')
    await file.close()
    const { analysis } = JSON.parse(await readFile(report, 'utf8')) as {
      readonly analysis: Analysis
    }
    assert.ok(analysis.entrypoints['./client'], 'attw found no entries')
    const found = analysis.problems.filter(
      ({ resolutionKind, resolutionOption }) =>
        !IGNORED_RESOLUTIONS.has(resolutionKind ?? resolutionOption ?? ''),
    )
    assert.deepEqual(found, [])
  })
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  server.close()
  broker.close()
  await rm(temporary, { recursive: true, force: true })
}
