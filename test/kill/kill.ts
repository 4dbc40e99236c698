/**
 * Kills the real program with SIGKILL at random instants, many times, and checks what the broker
 * got. (S1, R2, D7)
 *
 * Stories: a spool (QoS 1), a spool with a session on disk (QoS 2), a receiver with a session on
 * disk, and the command line's `pipe` with a checkpoint, without and with a session. Each is a
 * chain of processes on one directory, each of them killed, and a last one that may finish.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pushable } from 'it-pushable'
import { type Eventloop, eventloop, publish, type Request, subscribe } from '../../src/index.ts'
import { Mosquitto } from '../support/mosquitto.ts'
import { bundle, finish, until } from '../support/process.ts'
import { randomOf } from '../support/random.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** The compiled programs lie here, so that they find the packages that they need. */
const CACHE = join(ROOT, 'node_modules', '.cache')
const HANG_MS = 60_000
/** The longest time that a process works before it is killed, in ms. */
const WORK_MS_MAX = 250
/** The most messages that may be sent to a receiver and not handled. */
const UNHANDLED_MAX = 400
/**
 * Lines that are appended to a piped file before each process: more than it can deliver before it
 * is killed.
 */
const UNDELIVERED_MIN = 50_000

export interface Plan {
  readonly kills: number
  readonly seed: number
  readonly say: (text: string) => void
}

export interface Figures {
  kills: number
  /** Counts by story. */
  readonly delivered: Record<string, number>
  readonly repeats: Record<string, number>
  readonly problems: string[]
}

/** A process that prints lines, and is killed or ends. */
class Child {
  readonly lines: string[] = []
  readonly process: ChildProcess
  readonly #ended: Promise<unknown>
  errors = ''

  constructor(args: readonly string[], heard: (line: string) => void = () => {}) {
    this.process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let rest = ''
    this.process.stdout!.on('data', (chunk) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop()!
      this.lines.push(...lines)
      for (const line of lines) heard(line)
    })
    this.process.stderr!.on('data', (chunk) => {
      this.errors += chunk
    })
    this.#ended = once(this.process, 'close')
  }

  async killed(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.#ended
  }

  /** Whether it ended by itself with status 0. */
  async ended(): Promise<void> {
    const guard = setTimeout(() => this.process.kill('SIGKILL'), HANG_MS)
    await this.#ended
    clearTimeout(guard)
    if (this.process.exitCode !== 0) {
      const how = this.process.exitCode ?? this.process.signalCode
      const last = this.lines.slice(-3).join('; ')
      throw new Error(
        `it ended with ${how} after ${this.lines.length} lines (${last}): ${this.errors}`,
      )
    }
  }
}

/** A subscriber that stays connected and sees all that is published. */
class Collector {
  readonly heard: string[] = []
  readonly #loop: Eventloop
  #reading: Promise<void> | null = null

  private constructor(url: string) {
    this.#loop = eventloop({ url, until: 'closed', receiveMaximum: 65_535 }, [
      subscribe('out', { qos: 2 }),
    ])
  }

  static async at(url: string): Promise<Collector> {
    const collector = new Collector(url)
    for (;;) {
      const { value } = await collector.#loop.next()
      if (value?.cmd === 'suback') break
    }
    collector.#reading = collector.#read()
    return collector
  }

  async #read(): Promise<void> {
    for await (const packet of this.#loop) {
      if (packet.cmd === 'publish') this.heard.push(packet.payload.toString())
    }
  }

  async stop(): Promise<void> {
    await this.#loop.return()
    await this.#reading
  }
}

export async function kill({ kills, seed, say }: Plan): Promise<Figures> {
  const figures: Figures = { kills: 0, delivered: {}, repeats: {}, problems: [] }
  const random = randomOf(seed)
  const broker = await Mosquitto.start(['max_queued_messages 0', 'max_inflight_messages 1000'])
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'kill-'))
  try {
    const program = await bundle(new URL('./program.ts', import.meta.url), folder)
    const command = await compiled(folder)
    const story = { broker, folder, random, figures, say }
    const share = (part: number) => Math.max(1, Math.round(kills * part))
    await sending({ ...story, program, kills: share(0.25), name: 'spool', qos: 1 })
    await sending({ ...story, program, kills: share(0.25), name: 'spool+session', qos: 2 })
    await receiving({ ...story, program, kills: share(0.2), name: 'receive+session' })
    await piping({ ...story, program: command, kills: share(0.15), name: 'pipe', qos: 1 })
    await piping({ ...story, program: command, kills: share(0.15), name: 'pipe+session', qos: 2 })
  } finally {
    await broker[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
  return figures
}

/** The command line as the package has it. */
async function compiled(folder: string): Promise<string> {
  const out = join(folder, 'package', 'dist')
  const { code, stderr } = await finish(process.execPath, [join(ROOT, 'esbuild.config.mjs'), out])
  if (code !== 0) throw new Error(`it cannot be bundled: ${stderr}`)
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package', 'package.json'))
  return join(out, 'cli', 'main.js')
}

interface Story {
  readonly name: string
  readonly broker: Mosquitto
  readonly folder: string
  readonly program: string
  readonly random: () => number
  readonly kills: number
  readonly figures: Figures
  readonly say: (text: string) => void
}

/** Runs processes one after the other and kills each. @returns the lines that they printed. */
async function chain(
  story: Story,
  args: (index: number) => readonly string[],
  begun: (child: Child) => boolean,
  heard?: (line: string) => void,
): Promise<string[]> {
  const said: string[] = []
  for (let index = 0; index < story.kills; index++) {
    const running = new Child([story.program, ...args(index)], heard)
    // Some are killed while they open what their predecessor left.
    if (story.random() < 0.8) {
      await until(
        () => begun(running),
        () => `process ${index} works: ${running.errors}`,
        HANG_MS,
      )
    }
    await sleep(story.random() * WORK_MS_MAX)
    await running.killed()
    said.push(...running.lines)
    story.figures.kills++
  }
  return said
}

/**
 * Expects all that `accepted` names to be in `heard`; with `once`, nothing twice, and in its order.
 */
function check(
  { name, figures }: Story,
  accepted: readonly string[],
  heard: readonly string[],
  once: boolean,
) {
  const counts = new Map<string, number>()
  for (const text of heard) counts.set(text, (counts.get(text) ?? 0) + 1)
  const lost = accepted.filter((text) => !counts.has(text))
  const twice = [...counts].filter(([, count]) => count > 1)
  figures.delivered[name] = counts.size
  figures.repeats[name] = heard.length - counts.size
  if (lost.length > 0) figures.problems.push(`${name}: ${lost.length} lost, ${lost.slice(0, 5)}`)
  if (once && twice.length > 0) {
    figures.problems.push(`${name}: ${twice.length} came twice, ${twice.slice(0, 5).join('; ')}`)
  }
  const first = [...counts.keys()]
  const sorted = [...first].sort((a, b) => {
    const [[lifeA, a1], [lifeB, b1]] = [a.split(':').map(Number), b.split(':').map(Number)] as [
      [number, number],
      [number, number],
    ]
    return lifeA - lifeB || a1 - b1
  })
  const disordered = first.findIndex((text, i) => text !== sorted[i])
  if (disordered >= 0) figures.problems.push(`${name}: ${first[disordered]} came out of its order`)
}

async function sending(story: Story & { readonly qos: 1 | 2 }): Promise<void> {
  const { broker, folder, name, program, qos, say } = story
  const collector = await Collector.at(broker.url)
  const session = name.includes('session') ? 'session' : 'none'
  const args = ['send', broker.url, join(folder, name), String(qos), session]
  const said = await chain(
    story,
    (index) => [...args, String(index)],
    ({ lines }) => lines.length > 0,
  )
  await new Child([program, ...args, 'end']).ended()
  const accepted = said.map((line) => line.slice(2))
  await settled(collector)
  await collector.stop()
  check(story, accepted, collector.heard, qos === 2)
  say(`${name}: ${accepted.length} accepted, ${collector.heard.length} arrived`)
}

/** Resolves once the broker has passed on what it has. */
async function settled({ heard }: Collector): Promise<void> {
  for (let count = -1; count !== heard.length; ) {
    count = heard.length
    await sleep(500)
  }
}

async function receiving(story: Story): Promise<void> {
  const { broker, figures, folder, name, program, say } = story
  const requests = pushable<Request>({ objectMode: true })
  const loop = eventloop({ url: broker.url, until: 'closed' }, requests)
  const texts: string[] = []
  const handled = new Set<string>()
  // mosquitto sends again what was in flight, and as much again beside it: a few processes later
  // the receiver is far behind, and mosquitto gives one identifier to two messages.
  const send = () => {
    while (texts.length - handled.size < UNHANDLED_MAX) {
      const text = `0:${texts.length}`
      texts.push(text)
      requests.push(publish('in', text, { qos: 2 }))
    }
  }
  const hear = (line: string) => {
    if (!isHandled(line)) return
    handled.add(line.split(' ')[3]!)
    send()
  }
  const publishing = (async () => {
    for await (const _ of loop) {
      // Only the receiver decides when there are to be more.
    }
  })()
  const args = ['receive', broker.url, join(folder, name)]
  const first = new Child([program, ...args, 'first'])
  await until(() => first.lines.includes('subscribed'), 'it is subscribed', HANG_MS)
  await first.killed()
  send()
  const works = ({ lines }: Child) => lines.some(isHandled)
  const said = await chain(story, (index) => [...args, String(index)], works, hear)
  requests.push(publish('in', 'end', { qos: 2 }))
  const last = new Child([program, ...args, 'end'])
  await last.ended()
  said.push(...last.lines)
  await loop.return()
  await publishing
  /**
   * Counts by the number of the delivery: the same number again, with the mark, is the same
   * message.
   */
  const deliveries = new Map<string, string>()
  const heard: string[] = []
  const lines = said.filter(isHandled)
  for (const line of lines) {
    const [, id, again, text] = line.split(' ') as [string, string, string, string]
    const known = deliveries.get(id)
    if (known === undefined) {
      deliveries.set(id, text)
      if (text !== 'end') heard.push(text)
    } else if (known !== text)
      figures.problems.push(`${name}: delivery ${id} is ${known} and ${text}`)
    else if (again !== 'true') figures.problems.push(`${name}: ${text} came again without a mark`)
  }
  check(story, texts, heard, true)
  figures.repeats[name] = lines.length - deliveries.size
  say(`${name}: ${texts.length} sent, ${heard.length} handled`)
}

function isHandled(line: string): boolean {
  return line.startsWith('= ')
}

async function piping(story: Story & { readonly qos: 1 | 2 }): Promise<void> {
  const { broker, folder, name, program, qos, say } = story
  const collector = await Collector.at(broker.url)
  const file = join(folder, `${name}.txt`)
  const texts: string[] = []
  const session = name.includes('session') ? ['--session', `${join(folder, name)}/`] : []
  const args = [
    ...['pipe', file, '--url', broker.url, '--topic', 'out', '--qos', String(qos), '--quiet'],
    ...['--checkpoint', join(folder, `${name}.checkpoint`), '--reconnect', 'always', ...session],
    ...['--client-id', name],
  ]
  const append = () => {
    const more = Array.from({ length: 1000 }, (_, i) => `0:${texts.length + i}`)
    appendFileSync(file, `${more.join('\n')}\n`)
    texts.push(...more)
  }
  let before = 0
  const works = () => collector.heard.length > before
  await chain(
    story,
    () => {
      before = collector.heard.length
      // None of the killed processes finishes; the last one delivers what is left.
      const delivered = new Set(collector.heard).size
      while (texts.length - delivered < UNDELIVERED_MIN) append()
      return args
    },
    works,
  )
  await new Child([program, ...args]).ended()
  await settled(collector)
  await collector.stop()
  check(story, texts, collector.heard, qos === 2)
  say(`${name}: ${texts.length} lines, ${collector.heard.length} arrived`)
}
