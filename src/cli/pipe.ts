/**
 * `it-mqtt pipe`: how are the lines of a file delivered? Each line is a request, and an interrupted
 * file goes on at the first line that is not settled.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { FileRequests, type Spool, type SpoolOptions, spool } from '../disk/index.ts'
import {
  type Eventloop,
  type Outcome,
  publish,
  type Request,
  type Requests,
  StorageError,
  type UsageError,
} from '../index.ts'
import { checkFlags } from './check-flags.ts'
import { deliver } from './deliver.ts'
import { oneLine } from './fail.ts'
import { connectionOptions, protocolVersionOf, topicOfUrl } from './flags.ts'
import { Fill, FULL_DISK_RETRY_MS, isDiskFull } from './pipe-fill.ts'
import { checkPipeFlags, type PipeFlags } from './pipe-flags.ts'
import { PipeOutcomes } from './pipe-outcomes.ts'
import {
  isReplaced,
  keeperOf,
  NOWHERE,
  type PositionKeeper,
  withoutPrefix,
  withPrefix,
} from './pipe-position.ts'
import { fileSizeOf, lineParser, streamOf } from './pipe-source.ts'
import { Progress } from './progress.ts'
import { openSavedSession } from './session-file.ts'

/** Sends the requests of a file. @returns the exit status. */
export function pipe(file: string, flags: PipeFlags): Promise<number> {
  const topic = flags.topic ?? topicOfUrl(flags)
  return new Pipe(file, topic === null ? flags : { ...flags, topic }).run()
}

/**
 * Reads a file without sending anything.
 * @throws UsageError for the first line that is no request.
 */
export async function checkLines(file: string, flags: PipeFlags): Promise<void> {
  const parseLine = lineParser(flags, 'lines that save wrote are expected')
  await using lines = new FileRequests({ source: file, options: {}, parseLine })
  for await (const _ of lines) {
    // Only whether there is an error is of interest.
  }
}

class Pipe {
  readonly #path: string
  readonly #flags: PipeFlags
  readonly #outcomes: PipeOutcomes
  /** The line of the request whose outcome `#settled` gets next. */
  #line: number | null = null
  #loop: Eventloop | null = null
  #spool: Spool | null = null
  /** What a terminal shows about the connection; null while there is one. */
  #status: string | null = null
  #filling: Fill | null = null
  /** True while the spool is given an outcome that the loop has reported. */
  #isFromLoop = false
  /** Why reading into the spool ended early. */
  #readError: unknown

  constructor(path: string, flags: PipeFlags) {
    this.#path = path
    this.#flags = flags
    this.#outcomes = new PipeOutcomes(path, flags, () => this.#loop?.shutdown())
  }

  async run(): Promise<number> {
    const path = this.#path
    const flags = this.#flags
    const { topic, follow = false } = flags
    if (topic !== undefined) checkFlags(publish(topic), protocolVersionOf(flags.mqtt))
    const bytes = fileSizeOf(path, follow)
    checkPipeFlags(path, flags, bytes === null)
    const saved = await openSavedSession(flags.session, bytes !== null)
    const isNewSpool = flags.spool !== undefined && !existsSync(join(flags.spool, 'data'))
    const queue = await this.#openSpool()
    this.#spool = queue
    const keeper = bytes === null ? NOWHERE : await keeperOf(path, flags, queue, saved)
    const lines = await this.#open(keeper, bytes === null)
    if (isNewSpool) this.#warnOfNewSpool(lines)
    const startedAt = performance.now()
    let reading: Promise<void> | null = null
    const delivery = await deliver({
      options: connectionOptions(withReconnect(flags), saved.session),
      requests: this.#observed(lines, queue, keeper),
      onSettled: (request, outcome) => {
        this.#outcomes.settled(request, outcome, this.#line)
        this.#line = null
      },
      onStart: (loop) => {
        this.#loop = loop
        reading = queue === null ? null : this.#fill(queue, lines, keeper)
        if (flags.quiet) return
        this.#outcomes.progress = new Progress(follow ? null : bytes, () => ({
          value: lines.bytesRead,
          text: this.#outcomes.progressText(this.#pendingText(lines), this.#connectionText(loop)),
        }))
      },
      onTrouble: (message) => this.#outcomes.say(message),
      onStatus: (text) => {
        this.#status = text
      },
      quiet: flags.quiet === true,
      disconnectTimeout: flags.disconnectTimeout,
      sessionFile: saved.file,
      position: async (ended) => {
        const isWhole = ended && lines.ended && lines.unsettled === 0
        return keeper.isInSessionFile && !isWhole ? lines.prove(lines.position()) : null
      },
    })
    const { error, held, interrupted, status } = delivery
    this.#filling?.stop()
    await lines.close()
    const elsewhere = held.filter((request) => this.#lineOf(request, lines, keeper) === null).length
    const undelivered = lines.unsettled + (queue === null ? elsewhere : queue.size)
    const isWhole = error === undefined && !interrupted && lines.ended && undelivered === 0
    await this.#close(isWhole ? keeper : null)
    await reading
    await this.#outcomes.flush(interrupted)
    return this.#outcomes.conclude({
      ...{ interrupted, status, undelivered, spooled: queue?.size ?? 0, wholeFile: lines.ended },
      hasRest: !lines.ended && !(follow && lines.bytesRead === fileSizeOf(path, follow)),
      error: error ?? this.#readError,
      lost: queue?.lost ?? 0,
      tookMs: performance.now() - startedAt,
    })
  }

  /** Opens the file. One that cannot be used is an error before anything is sent. */
  async #open(keeper: PositionKeeper, isStream: boolean): Promise<FileRequests> {
    const lines = this.#linesOf(keeper, isStream)
    try {
      await lines.open()
      return lines
    } catch (error) {
      if (!isReplaced(error, keeper)) throw error
      return this.#open({ ...keeper, position: null, isWhole: false }, isStream)
    }
  }

  #linesOf({ checkpoint, position, name }: PositionKeeper, isStream: boolean): FileRequests {
    const flags = this.#flags
    const { follow = false, complete = false } = flags
    const isGrowing = follow || (flags.checkpoint !== undefined && !complete)
    return new FileRequests({
      source: isStream ? streamOf(this.#path) : this.#path,
      options: {
        follow,
        ...(checkpoint === undefined ? {} : { checkpoint }),
        growing: isGrowing,
        onWarning: ({ message }) => flags.quiet || this.#outcomes.say(message),
        onInvalid: (error) => this.#invalid(error),
      },
      parseLine: lineParser(flags),
      position,
      positionName: name,
    })
  }

  /** Opens the spool; a full disk is waited for. */
  async #openSpool(): Promise<Spool | null> {
    const { spool: directory, maxMessages, maxBytes, overflow } = this.#flags
    if (directory === undefined) return null
    const options: SpoolOptions = {
      ...(maxMessages === undefined ? {} : { maxMessages }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
      ...(overflow === undefined ? {} : { overflow }),
      onWarning: (warning) => this.#outcomes.warned(warning),
      // The loop reports the others.
      onSettled: (request, outcome) => {
        if (!this.#isFromLoop) this.#outcomes.settled(request, outcome, null)
      },
    }
    for (;;) {
      try {
        return await spool(directory, options)
      } catch (error) {
        if (!isDiskFull(error)) throw error
        this.#outcomes.warned(error)
        await setTimeout(FULL_DISK_RETRY_MS)
      }
    }
  }

  /** @param done What is to forget the position, because everything is delivered; or null. */
  async #close(done: PositionKeeper | null): Promise<void> {
    try {
      await done?.forget()
      await this.#spool?.close()
    } catch (error) {
      this.#readError ??= error
    }
  }

  /** Lines that were stored in a spool are lost if it was removed. */
  #warnOfNewSpool(lines: FileRequests): void {
    const { spool: directory, checkpoint } = this.#flags
    const { line } = lines.position()
    if (line === 1) return
    this.#outcomes.say(
      `${directory} is a new spool, and ${checkpoint} goes on at line ${line}: if a spool was ` +
        'removed there, what was in it is lost',
    )
  }

  #lineOf(request: Request, lines: FileRequests, keeper: PositionKeeper): number | null {
    const known = lines.replays ? withoutPrefix(request, keeper.keyPrefix) : request
    return known === null ? null : lines.lineOf(known)
  }

  /**
   * Stores the line number of each outcome, and hands out requests no faster than outcomes are
   * read.
   */
  #observed(lines: FileRequests, queue: Spool | null, { keyPrefix }: PositionKeeper): Requests {
    const source = queue ?? lines
    return {
      replays: source.replays,
      settled: (request: Request, outcome: Outcome) => {
        const known = source.replays ? withoutPrefix(request, keyPrefix) : request
        // The session remembers the outcome until the file that has the line is piped again.
        if (known === null) return NOT_CONFIRMED
        this.#line = queue === null ? lines.lineOf(known) : null
        this.#isFromLoop = true
        try {
          return source.settled(known, outcome)
        } finally {
          this.#isFromLoop = false
        }
      },
      [Symbol.asyncIterator]: () => {
        const batches = source[Symbol.asyncIterator]()
        return {
          next: async () => {
            await this.#outcomes.written
            try {
              const step = await batches.next()
              if (step.done || keyPrefix === null || queue !== null) return step
              return { done: false, value: withPrefix(step.value, keyPrefix) }
            } catch (error) {
              if (!isDamaged(error)) throw error
              // What was read before is delivered.
              this.#readError = error
              return { done: true, value: undefined }
            }
          },
          return: async () => batches.return!(),
        }
      },
    } as Requests
  }

  /** Moves lines to the spool. */
  async #fill(queue: Spool, lines: FileRequests, keeper: PositionKeeper): Promise<void> {
    const say = (message: string) => this.#outcomes.say(message)
    const refused = (request: Request, outcome: Outcome) => {
      this.#outcomes.settled(request, outcome, lines.lineOf(request))
    }
    this.#filling = new Fill({ path: this.#path, lines, queue, keeper, refused, say })
    try {
      await this.#filling.run()
      queue.end()
    } catch (error) {
      if (this.#loop?.state.connection.kind === 'closed') return
      this.#readError = error
      if (isDamaged(error) || isSpoolFull(error)) return queue.end()
      this.#loop?.disconnect(this.#flags.disconnectTimeout)
    }
  }

  #invalid({ message }: UsageError): boolean {
    this.#outcomes.invalid(oneLine(message), this.#flags.onInvalid === 'skip')
    return this.#flags.onInvalid === 'skip'
  }

  /** @returns what is to be said of the connection, or null while there is one. */
  #connectionText(loop: Eventloop): string | null {
    const { kind } = loop.state.connection
    return kind === 'connected' ? null : (this.#status ?? kind)
  }

  #pendingText(lines: FileRequests): string {
    if (this.#spool !== null) return `${this.#spool.size.toLocaleString('en')} in the spool`
    return `${lines.unsettled.toLocaleString('en')} under way`
  }
}

/** @returns whether the file cannot be read to its end, as a packed one that was cut off. */
function isDamaged(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'DAMAGED'
}

/** @returns whether the spool rejects what exceeds its bounds. */
function isSpoolFull(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'SPOOL_FULL'
}

/** With a spool, the network may be away at the beginning too. */
function withReconnect(flags: PipeFlags): PipeFlags {
  const { spool: directory, reconnect = 'always' } = flags
  return directory === undefined ? flags : { ...flags, reconnect }
}

const NOT_CONFIRMED = new Promise<void>(() => {})
