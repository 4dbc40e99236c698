/**
 * A mosquitto of the test's own: a free loopback port, a folder of its own, stopped and started at
 * will.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { answers, freePort } from './ports.ts'
import { until } from './process.ts'

const PROGRAM = ['/usr/sbin/mosquitto', 'mosquitto'].find(
  (path) => spawnSync(path, ['-h']).error === undefined,
)

/** Skips the test if mosquitto is missing; fails it if brokers are required. */
export function requireMosquitto(context: TestContext): void {
  if (PROGRAM !== undefined) return
  if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1')
    throw new Error('mosquitto is required and not installed')
  console.log(`not run, mosquitto is not installed: ${context.task.name}`)
  context.skip('mosquitto is not installed: not run')
}

/** How long mosquitto may take to start, in ms. */
const START_MS = 60_000

/** Configuration under which mosquitto keeps its promises across SIGKILL, as far as it can. */
export const DURABLE = [
  'persistence true',
  'autosave_on_changes true',
  'autosave_interval 1',
  'max_queued_messages 0',
]

export class Mosquitto {
  readonly port: number
  readonly folder: string
  /** Ports of all listeners: mosquitto opens them one after the other. */
  #ports: readonly number[] = []
  #process: ChildProcess | null = null

  private constructor(port: number, folder: string) {
    this.port = port
    this.folder = folder
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /**
   * Starts mosquitto with these `lines` of configuration; `{folder}` and `{port}` are filled in.
   * Without a listener among them it gets one on loopback.
   */
  static async start(lines: readonly string[] = []): Promise<Mosquitto> {
    const folder = await mkdtemp(join(tmpdir(), 'it-mqtt-mosquitto-'))
    await chmod(folder, 0o777)
    const broker = new Mosquitto(await freePort(), folder)
    const listener = lines.some((line) => line.startsWith('listener'))
      ? []
      : ['listener {port} 127.0.0.1']
    const access = lines.some((line) => line.startsWith('allow_anonymous'))
      ? []
      : ['allow_anonymous true']
    const all = [
      ...listener,
      ...access,
      'user root',
      'log_dest file {folder}/log',
      `persistence_location {folder}/`,
      ...lines,
    ]
    const text = all
      .join('\n')
      .replaceAll('{folder}', folder)
      .replaceAll('{port}', String(broker.port))
    broker.#ports = [...text.matchAll(/^listener ([1-9]\d*)/gm)].map(([, port]) => Number(port))
    await writeFile(join(folder, 'mosquitto.conf'), `${text}\n`)
    await broker.up()
    return broker
  }

  async up(): Promise<void> {
    if (PROGRAM === undefined) throw new Error('mosquitto is not installed')
    this.#process = spawn(PROGRAM, ['-c', join(this.folder, 'mosquitto.conf')], { stdio: 'ignore' })
    const answersAll = async () => {
      const all = await Promise.all(this.#ports.map(answers))
      // An answer counts only while it lives: who answers may be somebody else on its port.
      await this.#checkAlive()
      return all.every((one) => one)
    }
    await until(answersAll, 'mosquitto answers', START_MS)
  }

  async #checkAlive(): Promise<void> {
    const { exitCode, signalCode } = this.#process!
    if (exitCode === null && signalCode === null) return
    const log = await readFile(join(this.folder, 'log'), 'utf8').catch(() => 'it has no log')
    throw new Error(`mosquitto did not start (${exitCode ?? signalCode}): ${log}`)
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  async down(name: NodeJS.Signals): Promise<void> {
    const ending = this.#process
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return
    const gone = new Promise((resolve) => ending.once('exit', resolve))
    ending.kill(name)
    await gone
  }

  async restart(name: NodeJS.Signals): Promise<void> {
    await this.down(name)
    await this.up()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down('SIGKILL')
    await rm(this.folder, { recursive: true, force: true })
  }
}
