/**
 * Goal: the examples of README, guide and docs/MIGRATING.md do what they say. Method: each block of
 * TypeScript is written into a folder of its own and runs as a program against a broker; its output
 * is compared with the block of text below it.
 *
 * The broker is that of `it-mqtt/testing`, in this process, behind real sockets. In the folder are
 * `machine.csv` (the readings of docs/data), `ca.pem`, `client.pem` and `client.key`.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, transform } from 'esbuild'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { createBroker } from '../../src/testing/index.ts'
import { Authority, type Certificate } from '../support/certificates.ts'
import { examplesOf } from '../support/examples.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readings = join(root, 'docs/data/nab/machine_temperature_system_failure.csv')
// Below the root, so that the programs find its node_modules.
const folder = mkdtempSync(join(root, 'test/docs/run-'))

const broker = createBroker()
let authority: Authority
let client: Certificate
const servers: Server[] = []
/** What an example writes for a server, and where that server listens. */
const ports = { mqtt: 0, mqtts: 0, ws: 0 }

async function listen(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  await install()
  authority = await Authority.create(folder, 'authority')
  const server = await authority.issue({ names: 'DNS:localhost' })
  client = await authority.issue({ names: 'DNS:device-7' })
  const tls = {
    cert: readFileSync(server.cert),
    key: readFileSync(server.key),
    ca: authority.pem,
    // An example shows a client certificate; the server takes one and does without it as well.
    requestCert: true,
    rejectUnauthorized: false,
  }
  ports.mqtt = await listen(createServer((socket) => broker.accept(socket)))
  ports.mqtts = await listen(createTlsServer(tls, (socket) => broker.accept(socket)))
  const http = createHttpServer()
  const sockets = new WebSocketServer({ server: http, handleProtocols: () => 'mqtt' })
  sockets.on('connection', (socket) => broker.accept(createWebSocketStream(socket)))
  ports.ws = await listen(http)
})

afterAll(async () => {
  broker.close()
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true })
})

/** The entries of the package, and the folder of each. */
const ENTRIES = {
  ...{ index: '', client: 'client/', disk: 'disk/', 'event-stream': 'event-stream/' },
  ...{ doctor: 'doctor/', presence: 'presence/', bus: 'bus/', testing: 'testing/' },
  'bus/testing': 'bus/testing/',
}

/** Installs the package into the folder, as the examples import it. */
async function install(): Promise<void> {
  const home = join(folder, 'node_modules/it-mqtt')
  await build({
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).map(([name, folder]) => [name, join(root, `src/${folder}index.ts`)]),
    ),
    outdir: home,
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  })
  // The nearest package.json: without one here, the name would mean the root itself, not built.
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const exports = {
    '.': './index.js',
    './bus': './bus.js',
    './bus/testing': './bus/testing.js',
    './client': './client.js',
    './disk': './disk.js',
    './doctor': './doctor.js',
    './event-stream': './event-stream.js',
    './presence': './presence.js',
    './testing': './testing.js',
  }
  writeFileSync(join(home, 'package.json'), JSON.stringify({ type: 'module', exports }))
}

/** A folder with the files that the documents speak of. */
function prepare(name: string): string {
  const home = join(folder, name)
  mkdirSync(home)
  cpSync(readings, join(home, 'machine.csv'))
  cpSync(authority.cert, join(home, 'ca.pem'))
  cpSync(client.cert, join(home, 'client.pem'))
  cpSync(client.key, join(home, 'client.key'))
  return home
}

/** @returns what the program printed. */
async function execute(code: string, home: string): Promise<string> {
  const near = `mqtt://127.0.0.1:${ports.mqtt}`
  const here = code
    .replaceAll(/\bmqtt:\/\/localhost(?!:)/g, near)
    .replaceAll('mqtts://localhost', `mqtts://localhost:${ports.mqtts}`)
    .replaceAll('ws://localhost:9001', `ws://127.0.0.1:${ports.ws}`)
  const path = join(home, 'example.mjs')
  const { code: script } = await transform(here, { loader: 'ts', target: 'node20' })
  writeFileSync(path, script)
  const { stdout } = await promisify(execFile)(process.execPath, [path], {
    cwd: home,
    timeout: 25_000,
  })
  return stdout.replaceAll(near, 'mqtt://localhost')
}

const documents = ['README.md', 'docs/GUIDE.md', 'docs/MIGRATING.md'].map((document) => ({
  document,
  examples: examplesOf(readFileSync(join(root, document), 'utf8')),
}))

test('all examples compile, as strictly as the package itself', () => {
  const home = join(folder, 'types')
  mkdirSync(home)
  const files = documents.flatMap(({ document, examples }) =>
    examples.map(({ number, code }) => {
      const path = join(home, `${document.replaceAll('/', '-')}-${number}.ts`)
      writeFileSync(path, code)
      return path
    }),
  )
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files }, ts.sys, root)
  const program = ts.createProgram(files, options)
  // Of the examples alone: the package is checked by `npm run check`.
  const diagnostics = files.flatMap((path) => {
    const file = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
  })
  const host = {
    getCanonicalFileName: (name: string) => name,
    getCurrentDirectory: () => home,
    getNewLine: () => '\n',
  }
  expect(ts.formatDiagnostics(diagnostics, host)).toBe('')
})

for (const { document, examples } of documents) {
  describe(document, () => {
    test('there are examples', () => expect(examples.length).toBeGreaterThan(0))
    for (const { number, heading, code, printed } of examples) {
      test(`example ${number}, "${heading}", prints what stands below it`, async () => {
        const home = prepare(`${document.replaceAll('/', '-')}-${number}`)
        expect(await execute(code, home)).toBe(printed)
      })
    }
  })
}
