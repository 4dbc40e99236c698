/**
 * `it-mqtt pipe`: how are the lines of a file delivered? Each line is a request, and an interrupted
 * file goes on at the first line that is not settled.
 */
import { type Command, Option } from 'commander'
import { FileRequests, type Spool, type SpoolWarning, spool } from '../disk/index.ts'
import {
  checkRequest,
  type Eventloop,
  type Outcome,
  publish,
  type Request,
  type Requests,
  type SentRequest,
  StorageError,
  UsageError,
} from '../index.ts'
import { deliver } from './deliver.ts'
import { oneLine } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosOption,
  topicOfUrl,
} from './flags.ts'
import { Outcomes } from './pipe-outcomes.ts'
import { lineParser, refuseStream, sizeOf, streamOf } from './pipe-source.ts'
import { Progress } from './progress.ts'
import { openSavedSession } from './session-file.ts'

export interface PipeFlags extends ConnectionFlags {
  readonly topic?: string
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
  readonly json?: boolean
  readonly onInvalid: 'stop' | 'skip'
  readonly checkpoint?: string
  readonly follow?: boolean
  readonly complete?: boolean
  readonly spool?: string
}

export function addPipe(program: Command): void {
  const invalid = new Option('--on-invalid <what>', 'what to do at a line that is not a request')
  const command = program
    .command('pipe')
    .description(
      'send the requests of a file, one JSON object in each line; with --session or ' +
        '--checkpoint, an interrupted file goes on where it stopped',
    )
    .argument('[file]', '- is standard input; what gzip packed is unpacked', '-')
    .option(
      '-t, --topic <topic>',
      'take each line as a payload for this topic; blank lines are skipped',
    )
    .addOption(qosOption('-q, --qos <qos>', 'for lines that do not give one (default: 0)'))
    .option('-r, --retain', 'for lines that do not say whether to retain')
    .option('--checkpoint <file>', 'store here how far the file was delivered, and go on there')
    .option('--follow', 'wait for the file to appear, to grow and to be replaced')
    .option(
      '--complete',
      'the file does not grow any more: with --checkpoint, send a last line without line end too',
    )
    .option(
      '--spool <directory>',
      'store lines as fast as the disk takes them, and deliver them from there',
    )
    .option('--json', 'write the outcomes to standard output, one JSON object in each line')
    .addOption(invalid.choices(['stop', 'skip']).default('stop'))
  addConnectionFlags(command).action(async (file: string, flags: PipeFlags) => {
    process.exitCode = await pipe(file, flags)
  })
}

/** Sends the requests of a file. @returns the exit status. */
export function pipe(file: string, flags: PipeFlags): Promise<number> {
  const topic = flags.topic ?? topicOfUrl(flags)
  return new Pipe(file, topic === null ? flags : { ...flags, topic }).run()
}

class Pipe {
  readonly #path: string
  readonly #flags: PipeFlags
  readonly #outcomes: Outcomes
  /** The line of the request whose outcome `#settled` gets next. */
  #line: number | null = null
  #loop: Eventloop | null = null
  #spool: Spool | null = null
  /** Why reading into the spool ended early. */
  #readError: unknown

  constructor(path: string, flags: PipeFlags) {
    this.#path = path
    this.#flags = flags
    this.#outcomes = new Outcomes(path, flags, () => this.#loop?.shutdown())
  }

  async run(): Promise<number> {
    const path = this.#path
    const flags = this.#flags
    const { topic, checkpoint, follow = false, complete = false, spool: directory } = flags
    if (topic !== undefined) checkRequest(publish(topic), protocolVersionOf(flags.mqtt))
    if (follow && complete) throw new UsageError('--complete: a file that is followed may grow')
    const bytes = sizeOf(path, follow)
    if (bytes === null) refuseStream(flags)
    else if (follow && path.endsWith('.gz')) throw new UsageError('--follow: a .gz does not grow')
    const { file: sessionFile, session } = await openSavedSession(flags.session)
    if (bytes === null) sessionFile?.refuseUnfinished()
    // The session file stores the position unless a checkpoint or a spool does.
    const keepsPosition = checkpoint === undefined && directory === undefined && bytes !== null
    const onWarning = ({ message }: SpoolWarning) => flags.quiet || this.#outcomes.say(message)
    const lines = new FileRequests({
      source: bytes === null ? streamOf(path) : path,
      options: {
        follow,
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(complete ? { growing: false } : {}),
        onWarning,
        onInvalid: (error) => this.#invalid(error),
      },
      parseLine: lineParser(flags),
      position: keepsPosition ? (sessionFile?.saved.position ?? null) : null,
      positionName: checkpoint ?? `--session: ${flags.session}`,
    })
    // A file that cannot be used is an error before anything is sent.
    await lines.open()
    const queue = directory === undefined ? null : await spool(directory, { onWarning })
    this.#spool = queue
    const startedAt = performance.now()
    let reading: Promise<void> | null = null
    const delivery = await deliver({
      options: connectionOptions(flags, session),
      requests: this.#observed(lines, queue ?? lines),
      onSettled: (request, outcome) => {
        this.#outcomes.settled(request, outcome, this.#line)
        this.#line = null
      },
      onStart: (loop) => {
        this.#loop = loop
        reading = queue === null ? null : this.#fill(queue, lines)
        if (flags.quiet) return
        this.#outcomes.progress = new Progress(follow ? null : bytes, () => ({
          value: lines.bytesRead,
          text: this.#outcomes.progressText(this.#pendingText(lines), loop.state.connection.kind),
        }))
      },
      onTrouble: (message) => flags.quiet || this.#outcomes.say(message),
      disconnectTimeout: flags.disconnectTimeout,
      sessionFile,
      position: async (ended) => {
        const isWhole = ended && lines.ended && lines.unsettled === 0
        return keepsPosition && !isWhole ? lines.prove(lines.position()) : null
      },
    })
    await lines.close()
    await queue?.close()
    await reading
    await this.#outcomes.flush(delivery.interrupted)
    const { held, interrupted, status } = delivery
    const elsewhere = held.filter((request) => lines.lineOf(request) === null).length
    const spooled = queue?.size ?? 0
    return this.#outcomes.conclude({
      ...{ interrupted, status, spooled, wholeFile: lines.ended },
      error: delivery.error ?? this.#readError,
      undelivered: lines.unsettled + (queue === null ? elsewhere : spooled),
      tookMs: performance.now() - startedAt,
    })
  }

  /**
   * Stores the line number of each outcome, and hands out requests no faster than outcomes are
   * read.
   */
  #observed(lines: FileRequests, source: FileRequests | Spool): Requests {
    return {
      replays: source.replays,
      settled: (request: Request, outcome: Outcome) => {
        this.#line = lines.lineOf(request)
        return source.settled(request, outcome)
      },
      [Symbol.asyncIterator]: () => {
        const batches = source[Symbol.asyncIterator]()
        return {
          next: async () => {
            await this.#outcomes.written
            try {
              return await batches.next()
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

  /**
   * Moves lines to the spool. A line of the file counts as settled once its request is safe in the
   * spool.
   */
  async #fill(queue: Spool, lines: FileRequests): Promise<void> {
    try {
      for await (const requests of lines) {
        await queue.push(requests.map(withoutKey))
        for (const request of requests) lines.settled(request, { ok: true })
      }
      queue.end()
    } catch (error) {
      if (this.#loop?.state.connection.kind === 'closed') return
      this.#readError = error
      if (isDamaged(error)) return queue.end()
      this.#loop?.disconnect(this.#flags.disconnectTimeout)
    }
  }

  #invalid({ message }: UsageError): boolean {
    this.#outcomes.say(oneLine(message))
    if (this.#flags.onInvalid === 'stop') return false
    this.#outcomes.skipped()
    return true
  }

  #pendingText(lines: FileRequests): string {
    if (this.#spool !== null) return `${this.#spool.size.toLocaleString('en')} in the spool`
    return `${lines.unsettled.toLocaleString('en')} under way`
  }
}

/** Removes the key, because the spool gives each request a key of its own. */
function withoutKey(request: Request): SentRequest {
  const { key, ...rest } = request as SentRequest
  return rest as SentRequest
}

/** @returns whether the file cannot be read to its end, as a packed one that was cut off. */
function isDamaged(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'DAMAGED'
}
