/**
 * Every kind of rotation, each while a file is followed and while no process reads it: what becomes
 * of its lines? Time is virtual; the files and logrotate are real.
 */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { type FileRequests, fileRequests } from '../../src/disk/index.ts'
import { publish } from '../../src/requests/build.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { temporaryFolder, until } from '../support/process.ts'

/** Whether logrotate is installed. */
export const hasLogrotate = spawnSync('logrotate', ['--version']).status === 0

export interface Rotation {
  readonly title: string
  /** Whether lines may be lost, so that a warning is due: always, or while no process reads. */
  readonly warns?: 'always' | 'down'
  readonly needsLogrotate: boolean
  readonly rotate: (world: World) => void | Promise<void>
  /** The path that is followed, in the folder. Default: `app.log`. */
  readonly name?: string
}

/** What a rotation works on. */
interface World {
  readonly folder: string
  /** The path that is followed. */
  readonly path: string
  /** Appends so many lines to a file. Default: to the path that is followed. */
  write(count: number, path?: string): void
  /** Appends so many lines to an open file. */
  writeTo(fd: number, count: number): void
  /** Appends a text and notes which lines it makes whole. */
  writeText(text: string, wholeLines: readonly string[], path?: string): void
  /** Lets time pass, in ms, if a process reads. */
  passes(ms: number): Promise<void>
}

export interface Result {
  readonly lost: number
  readonly torn: number
  readonly twice: number
  readonly warnings: readonly string[]
}

const logrotated = (title: string, options: string, times = 1): Rotation => ({
  title: `logrotate: ${title}`,
  needsLogrotate: true,
  async rotate(world) {
    const { folder, path } = world
    for (let time = 0; time < times; time++) {
      if (time > 0) world.write(5)
      runLogrotate(folder, path, options)
      world.write(5)
      await world.passes(100)
    }
  },
})

function runLogrotate(folder: string, path: string, options: string): void {
  const conf = join(folder, 'conf')
  const lines = [`"${path}" {`, 'rotate 9', 'nomail', ...options.split(', '), '}', '']
  writeFileSync(conf, lines.join('\n'), { mode: 0o600 })
  const { status, stderr } = spawnSync('logrotate', ['-f', '-s', join(folder, 'state'), conf])
  if (status !== 0) throw new Error(`logrotate: ${stderr}`)
}

export const ROTATIONS: readonly Rotation[] = [
  logrotated('`create`', 'create'),
  logrotated('`create`, twice', 'create', 2),
  logrotated('`create`, `compress`', 'create, compress'),
  logrotated('`create`, `compress`, twice', 'create, compress', 2),
  logrotated(
    '`create`, `compress`, `delaycompress`, 3 times',
    'create, compress, delaycompress',
    3,
  ),
  logrotated('`create`, `dateext`', 'create, dateext'),
  logrotated('`create`, `dateext`, `compress`', 'create, dateext, compress'),
  logrotated('`create`, `extension .log`', 'create, extension .log'),
  logrotated('`create`, `olddir old`', 'create, olddir old'),
  logrotated('`copytruncate`', 'copytruncate'),
  logrotated('`copytruncate`, twice', 'copytruncate', 2),
  logrotated('`copytruncate`, `compress`', 'copytruncate, compress'),
  logrotated(
    '`copytruncate`, `compress`, `delaycompress`, 3 times',
    'copytruncate, compress, delaycompress',
    3,
  ),
  logrotated('`copytruncate`, `dateext`', 'copytruncate, dateext'),
  {
    title: 'renamed, and the writer goes on with the old file',
    needsLogrotate: false,
    async rotate(world) {
      const old = openSync(world.path, 'a')
      renameSync(world.path, `${world.path}.1`)
      for (let time = 0; time < 30; time++) {
        world.writeTo(old, 2)
        if (time % 10 === 0) world.write(1)
        await world.passes(50)
      }
      closeSync(old)
    },
  },
  {
    title: 'renamed, and the writer comes back to the old file after a minute',
    needsLogrotate: false,
    async rotate(world) {
      const old = openSync(world.path, 'a')
      renameSync(world.path, `${world.path}.1`)
      world.write(5)
      await world.passes(60_000)
      world.writeTo(old, 5)
      await world.passes(1_000)
      world.write(5)
      closeSync(old)
    },
  },
  {
    title: 'renamed in the middle of a line, whose rest comes later',
    needsLogrotate: false,
    async rotate(world) {
      world.writeText('half of', [])
      renameSync(world.path, `${world.path}.1`)
      world.write(5)
      await world.passes(5_000)
      world.writeText(' a line\n', ['half of a line'], `${world.path}.1`)
      world.write(5)
    },
  },
  {
    title: 'deleted, and made again',
    warns: 'down',
    needsLogrotate: false,
    rotate(world) {
      writeFileSync(`${world.path}.new`, '')
      rmSync(world.path)
      renameSync(`${world.path}.new`, world.path)
      world.write(5)
    },
  },
  {
    title: 'copied by hand and truncated, then grown beyond its old size immediately',
    needsLogrotate: false,
    rotate(world) {
      copyFileSync(world.path, `${world.path}.saved`)
      truncateSync(world.path)
      world.write(500)
    },
  },
  {
    title: 'copied and truncated in the middle of a line',
    needsLogrotate: false,
    rotate(world) {
      world.writeText('half of', [])
      copyFileSync(world.path, `${world.path}.1`)
      truncateSync(world.path)
      world.writeText(' a line\n', ['half of a line'])
      world.write(5)
    },
  },
  {
    title: 'truncated without a copy, then grown beyond its old size immediately',
    warns: 'always',
    needsLogrotate: false,
    rotate(world) {
      truncateSync(world.path)
      world.write(500)
    },
  },
  {
    title: 'a link switched twice to files with ascending names',
    name: 'current',
    needsLogrotate: false,
    rotate(world) {
      for (const number of [2, 3]) {
        const target = join(world.folder, `run-${number}.log`)
        writeFileSync(target, '')
        world.write(5, target)
        point(world.path, target)
      }
    },
  },
]

function point(link: string, target: string): void {
  rmSync(`${link}.new`, { force: true })
  symlinkSync(basename(target), `${link}.new`)
  renameSync(`${link}.new`, link)
}

/** The lines that are whole, in the order in which they were written. */
class Writer {
  readonly lines: string[] = []

  text(count: number): string {
    const lines = Array.from({ length: count }, (_, i) => `line ${this.lines.length + i} of many`)
    this.lines.push(...lines)
    return lines.map((line) => `${line}\n`).join('')
  }
}

/** Follows, rotates and compares. */
export async function rotated(rotation: Rotation, mode: 'running' | 'down'): Promise<Result> {
  const { path: folder, remove } = temporaryFolder()
  const path = join(folder, rotation.name ?? 'app.log')
  mkdirSync(join(folder, 'old'))
  if (rotation.name !== undefined) symlinkSync('run-1.log', path)
  const clock = new VirtualClock()
  const writer = new Writer()
  const append = (to: string, text: string) => writeFileSync(to, text, { flag: 'a' })
  const world: World = {
    folder,
    path,
    write: (count, to = path) => append(to, writer.text(count)),
    writeTo: (fd, count) => void writeSync(fd, writer.text(count)),
    writeText: (text, whole, to = path) => {
      append(to, text)
      writer.lines.push(...whole)
    },
    passes: async (ms) => {
      if (mode === 'running') await clock.advance(ms)
    },
  }
  const found: string[] = []
  const warnings: string[] = []
  const follow = () => new Follower(path, join(folder, 'checkpoint'), clock, found, warnings)
  world.write(50)
  let follower = follow()
  try {
    await follower.until(() => found.length === 50)
    if (mode === 'down') await follower.stop()
    world.write(5)
    await rotation.rotate(world)
    if (mode === 'down') follower = follow()
    const last = writer.lines.at(-1)!
    const isWhole = () => writer.lines.every((line) => found.includes(line))
    const isTold = () => rotation.warns !== undefined && warnings.length > 0 && found.includes(last)
    await follower.until(() => isWhole() || isTold())
    await follower.stop()
  } finally {
    await follower.stop()
    remove()
  }
  const known = new Set(writer.lines)
  return {
    lost: writer.lines.filter((line) => !found.includes(line)).length,
    torn: found.filter((line) => !known.has(line)).length,
    twice: found.length - new Set(found).size,
    warnings,
  }
}

class Follower {
  readonly #clock: VirtualClock
  readonly #lines: FileRequests
  readonly #iterator: AsyncIterator<readonly Request[]>
  readonly #reading: Promise<void>
  #error: unknown

  constructor(
    path: string,
    checkpoint: string,
    clock: VirtualClock,
    found: string[],
    warnings: string[],
  ) {
    this.#clock = clock
    this.#lines = fileRequests(path, {
      ...{ checkpoint, follow: true, watch: false, platform: clock },
      parse: (line) => publish('t', line, { qos: 1 }),
      onInvalid: ({ message }) => warnings.push(message),
      onWarning: ({ message }) => warnings.push(message),
    })
    this.#iterator = this.#lines[Symbol.asyncIterator]()
    this.#reading = this.#read(found).catch((error) => {
      this.#error = error
    })
  }

  async #read(found: string[]): Promise<void> {
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done) return
      for (const request of value as readonly Request[]) {
        found.push(String((request as { payload?: unknown }).payload))
        void this.#lines.settled(request, { ok: true })
      }
    }
  }

  /** Lets time pass until the condition holds, or it seems that it never will. */
  async until(condition: () => boolean): Promise<void> {
    const isOver = async () => {
      if (this.#error !== undefined) throw this.#error
      if (!condition()) await this.#clock.advance(100)
      return condition()
    }
    await until(isOver, 'lines', 5_000).catch((error: Error) => {
      if (!error.message.startsWith('in vain')) throw error
    })
  }

  async stop(): Promise<void> {
    await this.#iterator.return?.()
    await this.#reading
    await this.#lines.close()
  }
}

/** @returns the result in words, for docs/GUIDE.md. */
export function inWords({ lost, torn, twice, warnings }: Result): string {
  if (torn > 0) return 'torn lines'
  if (lost > 0)
    return warnings.length > 0 ? 'lines may be missing: a warning says so' : 'lost lines'
  const told = warnings.length > 0 ? ', and a warning' : ''
  return twice > 0 ? `every line, some twice${told}` : `every line once${told}`
}
