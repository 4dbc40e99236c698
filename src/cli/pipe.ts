/**
 * `it-mqtt pipe`: how are the lines of a file delivered? Each line is a request, and an interrupted
 * file goes on at the first line that is not settled.
 */
import { type Stats, statSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import {
  FileRequests,
  type LineParser,
  readOnce,
  requestOfJson,
  type Spool,
  type SpoolWarning,
  spool,
} from '../disk/index.ts'
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
import { checkFlags } from './check-flags.ts'
import { type Delivery, deliver } from './deliver.ts'
import { asSentence, counted, FAILED, oneLine, printable, reportFailure, say } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosFlag,
  qosOption,
  topicOfUrl,
} from './flags.ts'
import { requestOfMosquitto } from './mosquitto-json.ts'
import { isClosedPipe, write } from './output.ts'
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

/** How long the reader of the outcomes may take after Ctrl-C. */
const FLUSH_MS = 1_000

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
      'store lines as fast as the disk takes them, and deliver them from there; the package ' +
        'classic-level has to be installed',
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
  return new Pipe(topic === null ? flags : { ...flags, topic }).run(file)
}

class Pipe {
  readonly #flags: PipeFlags
  #delivered = 0
  #refused = 0
  #skipped = 0
  /** The line of the request whose outcome `#settled` gets next. */
  #line: number | null = null
  #loop: Eventloop | null = null
  #spool: Spool | null = null
  #progress: Progress | null = null
  /** What a terminal shows about the connection; null while there is one. */
  #status: string | null = null
  /** Resolves once the reader took the last outcome; undefined if it did so immediately. */
  #writing: Promise<void> | undefined
  #outputError: unknown
  /** Why reading into the spool ended early. */
  #readError: unknown

  constructor(flags: PipeFlags) {
    this.#flags = flags
  }

  async run(path: string): Promise<number> {
    const flags = this.#flags
    const { topic, checkpoint, follow = false, complete = false, spool: directory } = flags
    if (topic !== undefined) checkFlags(publish(topic), protocolVersionOf(flags.mqtt))
    if (follow && complete) throw new UsageError('--complete: a file that is followed may grow')
    const bytes = sizeOf(path, follow)
    if (bytes === null) refuseStream(flags)
    else if (follow && path.endsWith('.gz')) throw new UsageError('--follow: a .gz does not grow')
    const { file: sessionFile, session } = await openSavedSession(flags.session)
    if (bytes === null) sessionFile?.refuseUnfinished()
    // The session file stores the position unless a checkpoint or a spool does.
    const keepsPosition = checkpoint === undefined && directory === undefined && bytes !== null
    const onWarning = ({ message }: SpoolWarning) => flags.quiet || this.#say(message)
    const lines = new FileRequests({
      source: bytes === null ? streamOf(path) : path,
      options: {
        follow,
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(complete ? { growing: false } : {}),
        onWarning,
        onInvalid: (error) => this.#invalid(error),
      },
      parseLine: this.#parser(),
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
      onSettled: (request, outcome) => this.#settled(path, request, outcome),
      onStart: (loop) => {
        this.#loop = loop
        reading = queue === null ? null : this.#fill(queue, lines)
        if (flags.quiet) return
        this.#progress = new Progress(follow ? null : bytes, () => ({
          value: lines.bytesRead,
          text: this.#progressText(lines),
        }))
      },
      onTrouble: (message) => this.#say(message),
      onStatus: (text) => {
        this.#status = text
      },
      quiet: flags.quiet === true,
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
    const patience = delivery.interrupted ? setTimeout(FLUSH_MS, undefined, { ref: false }) : null
    await (patience === null ? this.#writing : Promise.race([this.#writing, patience]))
    this.#progress?.stop()
    this.#progress = null
    return this.#conclude(lines, delivery, performance.now() - startedAt)
  }

  #parser(): LineParser {
    const { mqtt, qos, retain = false, topic, spool: directory } = this.#flags
    const version = protocolVersionOf(mqtt)
    const defaults = { qos: qosFlag(qos), retain }
    return (line) => {
      if (topic !== undefined) {
        if (line.bytes.length === 0) return null
        return { cmd: 'publish', topic, payload: line.bytes, ...defaults }
      }
      const request = requestOfMosquitto(line) ?? requestOfJson(line)
      if (request === null) return null
      checkRequest(request, version)
      const isSent = ['publish', 'subscribe', 'unsubscribe'].includes(request.cmd)
      if (directory !== undefined && !isSent) {
        throw new UsageError('a control cannot be spooled: it would act long after it was written')
      }
      return request.cmd === 'publish' ? { ...defaults, ...request } : request
    }
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
            await this.#writing
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

  #settled(file: string, request: Request, outcome: Outcome): void {
    const line = this.#line
    this.#line = null
    if (outcome.ok) this.#delivered++
    else {
      this.#refused++
      const name = file === '-' ? 'stdin' : file
      this.#say(`${name}${line === null ? '' : `:${line}`}: ${printable(outcome.error)}`)
    }
    if (!this.#flags.json || this.#outputError !== undefined) return
    const writing = write(`${outcomeText(line, request, outcome)}\n`)
    this.#writing = writing?.catch((error) => {
      this.#outputError ??= error
      this.#loop?.shutdown()
    })
  }

  #invalid({ message }: UsageError): boolean {
    this.#say(oneLine(message))
    if (this.#flags.onInvalid === 'stop') return false
    this.#skipped++
    return true
  }

  /**
   * Writes one line that says how it went.
   * @returns the exit status.
   */
  #conclude(lines: FileRequests, delivery: Delivery, tookMs: number): number {
    const { held, interrupted, status } = delivery
    const error = delivery.error ?? this.#readError
    const elsewhere = held.filter((request) => lines.lineOf(request) === null).length
    const spooled = this.#spool?.size ?? 0
    const undelivered = lines.unsettled + (this.#spool === null ? elsewhere : spooled)
    const nothingDone = this.#delivered + this.#refused + undelivered === 0
    if (error !== undefined && (error instanceof UsageError || nothingDone))
      return reportFailure(error)
    const counts = [
      `${counted(this.#delivered, 'request')} delivered in ${(tookMs / 1000).toFixed(1)} s`,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(this.#skipped > 0 ? [`${counted(this.#skipped, 'line')} skipped`] : []),
      ...(undelivered > 0 || interrupted ? [`${undelivered} not delivered`] : []),
      ...(spooled > 0 ? [`${spooled} in the spool`] : []),
      ...(lines.ended ? [] : ['the rest was not read']),
    ]
    const isGood = error === undefined && undelivered === 0 && this.#refused === 0 && lines.ended
    if (error !== undefined) this.#say(`${asSentence(printable(error))} ${counts.join(', ')}`)
    else if (!isGood || !this.#flags.quiet) this.#say(counts.join(', '))
    if (this.#outputError !== undefined && !isClosedPipe(this.#outputError)) {
      return reportFailure(this.#outputError)
    }
    if (interrupted) return status
    return isGood ? 0 : FAILED
  }

  #progressText(lines: FileRequests): string {
    const kind = this.#loop?.state.connection.kind
    const pending = this.#spool?.size ?? lines.unsettled
    return [
      `${this.#delivered.toLocaleString('en')} delivered`,
      `${pending.toLocaleString('en')} ${this.#spool === null ? 'under way' : 'in the spool'}`,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(kind === undefined || kind === 'connected' ? [] : [this.#status ?? kind]),
    ].join(', ')
  }

  #say(text: string): void {
    if (this.#progress !== null) this.#progress.say(text)
    else say(text)
  }
}

/** Removes the key, because the spool gives each request a key of its own. */
function withoutKey(request: Request): SentRequest {
  const { key, ...rest } = request as SentRequest
  return rest as SentRequest
}

function outcomeText(line: number | null, request: Request, outcome: Outcome): string {
  const { packet } = outcome
  const topic = request.cmd === 'publish' ? { topic: request.topic } : {}
  const reason = packet !== undefined && 'reasonCode' in packet ? packet.reasonCode : undefined
  const granted = packet !== undefined && 'granted' in packet ? packet.granted : undefined
  const error = outcome.ok ? undefined : (outcome.error as Partial<NodeJS.ErrnoException>)
  return JSON.stringify({
    line,
    ok: outcome.ok,
    cmd: request.cmd,
    ...topic,
    ...(reason === undefined ? {} : { reasonCode: reason }),
    ...(granted === undefined ? {} : { granted }),
    ...(error === undefined ? {} : { error: { code: error.code, message: printable(error) } }),
  })
}

/** @returns whether the file cannot be read to its end, as a packed one that was cut off. */
function isDamaged(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'DAMAGED'
}

/**
 * @returns the size, 0 if a file that is followed is not there yet, or null if the file can be read
 *   only once: standard input or a FIFO.
 */
function sizeOf(path: string, follow: boolean): number | null {
  if (path === '-') return null
  let stats: Stats
  try {
    stats = statSync(path)
  } catch (error) {
    if (follow && (error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw new UsageError((error as Error).message, { cause: error })
  }
  if (stats.isDirectory()) throw new UsageError(`${path} is a directory; a file is expected`)
  return stats.isFile() ? stats.size : null
}

function refuseStream({ checkpoint, follow }: PipeFlags): void {
  const given = Object.entries({ checkpoint, follow }).find(([, value]) => value !== undefined)
  if (given === undefined) return
  throw new UsageError(`--${given[0]} needs a file: a stream cannot be read again`)
}

function streamOf(path: string) {
  if (path !== '-') return readOnce(path)
  const bytes = process.stdin
  return { name: 'stdin', bytes: bytes as AsyncIterable<Buffer> & typeof bytes }
}
