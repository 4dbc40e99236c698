/**
 * `it-mqtt pipe`: lines to requests, requests to outcomes, and where it was interrupted it goes on.
 */
import { createHash } from 'node:crypto'
import { createReadStream, type Stats } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { type Eventloop, type Outcome, publish, type Request, UsageError } from '../index.ts'
import { prepare } from '../requests.ts'
import { type Delivery, deliver } from './deliver.ts'
import { counted, FAILED, messageOf, oneLine, say, tellFailure } from './fail.ts'
import {
  addConnectionFlags,
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosOf,
  qosOption,
} from './flags.ts'
import { type LineInput, LineRequests } from './line-requests.ts'
import { isClosedPipe, write } from './output.ts'
import { Progress } from './progress.ts'
import { type Position, SessionFile } from './session-file.ts'

interface PipeFlags extends ConnectionFlags {
  readonly topic?: string
  readonly qos?: '0' | '1' | '2'
  readonly retain?: boolean
  readonly json?: boolean
  readonly onInvalid: 'stop' | 'skip'
}

/** How long outcomes may still be read after Ctrl-C. */
const FLUSH_MS = 1_000

export function addPipe(program: Command): void {
  const invalid = new Option('--on-invalid <what>', 'what a line that is no request leads to')
  const command = program
    .command('pipe')
    .description(
      'send the requests of a file, one JSON object in each line; with a session, an interrupted file goes on where it was',
    )
    .argument('[file]', '- is standard input', '-')
    .option(
      '-t, --topic <topic>',
      'each line is a payload for this topic; blank lines are left out',
    )
    .addOption(qosOption('--qos <qos>', 'of lines that do not say theirs (default: 0)'))
    .option('--retain', 'of lines that do not say theirs')
    .option('--json', 'write the outcomes to standard output, one JSON object in each line')
    .addOption(invalid.choices(['stop', 'skip']).default('stop'))
  addConnectionFlags(command).action(async (file: string, flags: PipeFlags) => {
    process.exitCode = await new Pipe(flags).run(file)
  })
}

class Pipe {
  readonly #flags: PipeFlags
  #delivered = 0
  #refused = 0
  #skipped = 0
  /** Of a line that is no request. */
  #stopped = false
  #loop: Eventloop | null = null
  #progress: Progress | null = null
  /** The last outcome that was written and not read yet. */
  #writing: Promise<void> | undefined
  #outputError: unknown

  constructor(flags: PipeFlags) {
    this.#flags = flags
  }

  async run(path: string): Promise<number> {
    const flags = this.#flags
    if (flags.topic !== undefined) {
      prepare(publish(flags.topic), protocolVersionOf(flags.mqtt))
    }
    const { input, bytes } = await inputOf(path)
    const sessionFile = flags.session === undefined ? null : await SessionFile.open(flags.session)
    const saved = sessionFile?.saved ?? { session: null, position: null }
    if (!input.seekable) sessionFile?.refuseHalfway()
    if (saved.position !== null) await recognise(path, saved.position, flags.session)
    const lines = new LineRequests(
      input,
      {
        topic: flags.topic ?? null,
        qos: qosOf(flags.qos),
        retain: flags.retain ?? false,
        protocolVersion: protocolVersionOf(flags.mqtt),
      },
      saved.position,
      saved.session?.held ?? [],
      (message) => this.#invalid(message),
    )
    const startedAt = performance.now()
    const delivery = await deliver({
      options: connectionOptions(flags, saved.session),
      requests: this.#paced(lines),
      onSettled: (request, outcome) => this.#settled(lines, input.name, request, outcome),
      onStart: (loop) => {
        this.#loop = loop
        if (flags.quiet) return
        this.#progress = new Progress(bytes, () => ({
          value: lines.offset,
          text: this.#text(lines),
        }))
      },
      onTrouble: (message) => flags.quiet || this.#say(message),
      disconnectTimeout: flags.disconnectTimeout,
      sessionFile,
      position: (ended) => {
        const isWhole = ended && lines.ended && lines.unsettledCount === 0
        return input.seekable && !isWhole ? lines.position() : null
      },
    })
    lines.close()
    const patience = delivery.interrupted ? setTimeout(FLUSH_MS, undefined, { ref: false }) : null
    await (patience === null ? this.#writing : Promise.race([this.#writing, patience]))
    this.#progress?.stop()
    this.#progress = null
    return this.#conclude(lines, delivery, performance.now() - startedAt)
  }

  #settled(lines: LineRequests, file: string, request: Request, outcome: Outcome): void {
    const line = lines.settle(request)
    if (outcome.ok) this.#delivered++
    else {
      this.#refused++
      this.#say(`${file}${line === null ? '' : `:${line}`}: ${messageOf(outcome.error)}`)
    }
    if (!this.#flags.json || this.#outputError !== undefined) return
    const writing = write(`${outcomeText(line, request, outcome)}\n`)
    this.#writing = writing?.catch((error) => {
      this.#outputError ??= error
      this.#loop?.shutdown()
    })
  }

  /** No faster than the outcomes are read. */
  async *#paced(lines: LineRequests): AsyncGenerator<readonly Request[]> {
    for await (const requests of lines) {
      await this.#writing
      yield requests
    }
  }

  #invalid(message: string): boolean {
    this.#say(oneLine(message))
    if (this.#flags.onInvalid === 'stop') this.#stopped = true
    else this.#skipped++
    return !this.#stopped
  }

  /** One line that says how it went, and the exit status. */
  #conclude(lines: LineRequests, delivery: Delivery, tookMs: number): number {
    const { error, held, interrupted, status } = delivery
    const elsewhere = held.filter((request) => !lines.isUnsettled(request)).length
    const undelivered = lines.unsettledCount + elsewhere
    const nothingDone = this.#delivered + this.#refused + undelivered === 0
    if (error !== undefined && (error instanceof UsageError || nothingDone))
      return tellFailure(error)
    const counts = [
      `${counted(this.#delivered, 'request')} delivered in ${(tookMs / 1000).toFixed(1)} s`,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(this.#skipped > 0 ? [`${counted(this.#skipped, 'line')} skipped`] : []),
      ...(undelivered > 0 || interrupted ? [`${undelivered} not delivered`] : []),
      ...(lines.ended ? [] : ['the rest was not read']),
    ]
    const isGood = error === undefined && undelivered === 0 && this.#refused === 0 && lines.ended
    if (error !== undefined) this.#say(`${messageOf(error)} ${counts.join(', ')}`)
    else if (!isGood || !this.#flags.quiet) this.#say(counts.join(', '))
    if (this.#outputError !== undefined && !isClosedPipe(this.#outputError)) {
      return tellFailure(this.#outputError)
    }
    if (interrupted) return status
    return isGood ? 0 : FAILED
  }

  #text(lines: LineRequests): string {
    const kind = this.#loop?.state.connection.kind
    const pending = lines.unsettledCount
    return [
      `${this.#delivered.toLocaleString('en')} delivered`,
      `${pending.toLocaleString('en')} under way`,
      ...(this.#refused > 0 ? [`${this.#refused} refused`] : []),
      ...(kind === undefined || kind === 'connected' ? [] : [kind]),
    ].join(', ')
  }

  #say(text: string): void {
    if (this.#progress !== null) this.#progress.say(text)
    else say(text)
  }
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
    ...(error === undefined ? {} : { error: { code: error.code, message: messageOf(error) } }),
  })
}

/** Standard input, a file, or what can be read only once (a FIFO). `bytes`: null where the size is not known. */
async function inputOf(path: string): Promise<{ input: LineInput; bytes: number | null }> {
  if (path === '-') {
    return { input: { name: 'stdin', open: () => process.stdin, seekable: false }, bytes: null }
  }
  let stats: Stats
  try {
    stats = await stat(path)
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error })
  }
  if (stats.isDirectory()) throw new UsageError(`${path} is a directory; a file is expected`)
  const seekable = stats.isFile()
  const start = (offset: number) => (seekable ? { start: offset } : {})
  const input = {
    name: path,
    open: (offset: number) => createReadStream(path, start(offset)),
    seekable,
  }
  return { input, bytes: seekable ? stats.size : null }
}

/** @throws UsageError where this is not the file, or no longer as it was, that an earlier run began. */
async function recognise(
  path: string,
  position: Position,
  session: string | undefined,
): Promise<void> {
  const { last } = position
  if (last === null) return
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(last.bytes), 0, last.bytes, last.offset)
    if (createHash('sha256').update(buffer).digest('hex') === last.sha256) return
  } finally {
    await file.close()
  }
  throw new UsageError(
    `--session: ${session} goes on at line ${position.line} of ${position.file}, and ${path} is not that file or has changed; pipe the right file, or remove the session`,
  )
}
