/**
 * Goal: whoever types the tutorial of docs/BUS.md gets what it shows. Method: its blocks are taken
 * in order. A block whose first line is a file name becomes that file, and the commands of a block
 * of `sh` are run in the same folder; `it-mqtt bus run` goes on beside. A block of text below a
 * command is what that prints. One that stands alone, or below `bus run`, comes from a service.
 *
 * The package is the one that the tests of the command line use, and the broker that of
 * `it-mqtt/testing`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { broker, type ListeningBroker, type Running, run, until } from '../cli/support.ts'
import { program } from '../support/built.ts'
import { type TutorialPart, tutorialOf } from '../support/tutorial.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/BUS.md'), 'utf8')

/** What a service subscribes to before the reader goes on. */
const READY = { auth: '/rpc/', mail: '/event/' } as const

/** What makes the folder, which is here already. */
const SETUP = /^(?:mkdir -p|npm install) /

class Reader {
  readonly #folder: string
  readonly #peer: ListeningBroker
  readonly #services: Running[] = []
  /** What the last command has printed; null for a service. */
  #printed: string | null = null

  constructor(folder: string, peer: ListeningBroker) {
    this.#folder = folder
    this.#peer = peer
  }

  async read(part: TutorialPart): Promise<void> {
    if (part.kind === 'file') return this.#write(part.path, part.text)
    if (part.kind === 'text') return this.#compare(part.text)
    for (const command of part.commands) if (!SETUP.test(command)) await this.#run(command)
  }

  /** Ends the services as Ctrl-C does. @returns their statuses. */
  async stop(): Promise<(number | null)[]> {
    for (const { process } of this.#services) process.kill('SIGINT')
    return Promise.all(this.#services.map(async ({ ended }) => (await ended).status))
  }

  #write(path: string, text: string): void {
    writeFileSync(join(this.#folder, path), text.replaceAll('mqtt://localhost', this.#peer.url))
  }

  async #compare(text: string): Promise<void> {
    const printed = this.#printed
    this.#printed = null
    if (printed !== null) return expect(printed).toBe(text)
    await until(() => this.#services.some(({ stdout }) => stdout().includes(text)))
  }

  async #run(command: string): Promise<void> {
    this.#printed = null
    const [, file] = /^echo '.*' > (\S+)$/.exec(command) ?? []
    if (file !== undefined) return this.#write(file, command.slice(6, command.lastIndexOf("'")))
    const words = command.replace('-h localhost', `--url ${this.#peer.url}`).split(' ')
    const place = words[0] === 'cd' ? words.splice(0, 3)[1]! : ''
    const env: Record<string, string> = {}
    while (words[0]?.includes('=')) {
      const [name, value] = words.shift()!.split('=')
      env[name!] = value!
    }
    const main = words[0] === 'npx' ? [...program('cli/main'), ...words.slice(2)] : words.slice(1)
    const running = run(process.execPath, main, env, join(this.#folder, place))
    if (!command.includes('it-mqtt bus run')) {
      const { status, stdout, stderr } = await running.ended
      expect([status, stderr]).toEqual([0, ''])
      this.#printed = stdout === '' ? null : stdout
      return
    }
    this.#services.push(running)
    const filter = READY[place as keyof typeof READY]
    const filters = () => JSON.stringify(this.#peer.broker.packets('subscribe'))
    await until(() => running.stderr().includes('"connected"') && filters().includes(filter))
  }
}

test('a block of code that does not say which file it is, is refused', () => {
  const file = '```js\n// a/b.mjs\nf()\n```\n'
  expect(tutorialOf(file)).toEqual([{ kind: 'file', path: 'a/b.mjs', text: '// a/b.mjs\nf()\n' }])
  expect(() => tutorialOf(`${file}\`\`\`js\nf()\n\`\`\``)).toThrow('does not begin with its name')
})

test('the tutorial of docs/BUS.md does what it says', { timeout: 60_000 }, async () => {
  // Below the root, so that the programs find its node_modules.
  const folder = mkdtempSync(join(root, 'test/docs/run-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  // A package of its own: within this one, the name `it-mqtt` means its own dist/.
  writeFileSync(join(folder, 'package.json'), '{}')
  mkdirSync(join(folder, 'node_modules'))
  const main = program('cli/main').at(-1)!
  symlinkSync(join(dirname(main), '../..'), join(folder, 'node_modules/it-mqtt'))
  for (const place of ['auth', 'mail', 'shop']) mkdirSync(join(folder, place))
  const parts = tutorialOf(page)
  expect(parts.filter(({ kind }) => kind === 'file')).toHaveLength(5)

  const peer = await broker(() => {}, { protocolVersions: [5, 4] })
  const reader = new Reader(folder, peer)
  for (const part of parts) await reader.read(part)
  expect(await reader.stop()).toEqual([0, 0, 0])

  const tests = run(process.execPath, ['--test', 'mail/bus.test.mjs'], {}, folder)
  expect((await tests.ended).status).toBe(0)
})
