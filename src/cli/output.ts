/**
 * How is standard output written? Every command writes here, and nowhere else. A slow reader or a
 * full disk slows the loop down, so that memory stays bounded, and a message is acknowledged once
 * the system has taken all of its bytes.
 *
 * A file has a loop of its own (file-output.ts), because Node ignores that a write was short.
 * Pipes, sockets and terminals are written by Node's streams, which write the rest by themselves.
 */
import { fstatSync } from 'node:fs'
import { isatty } from 'node:tty'
import { FileOutput, filePartsOf } from './file-output.ts'
import { clearStatus, say } from './screen.ts'
import { ENDING } from './signals.ts'

const STDOUT = 1

/** Writes to standard output were given up, because the command is to end. */
class OutputAbandoned extends Error {}

/** Promises of writes that a stream has not finished. */
const rejections = new Set<(error: unknown) => void>()
let abandoned: OutputAbandoned | null = null
let device: FileOutput | 'stream' | null = null
/** Whether the signals are listened to (`endAtSignal`). */
let waitedForRoom = false

/** @returns the file on standard output, or `stream` for anything that Node writes in full. */
function output(): FileOutput | 'stream' {
  if (device !== null) return device
  const stats = fstatSync(STDOUT)
  const isDevice = stats.isCharacterDevice() || stats.isBlockDevice()
  if (isatty(STDOUT) || !(stats.isFile() || isDevice)) {
    device = 'stream'
    return device
  }
  const file = new FileOutput(filePartsOf(STDOUT, say))
  process.once('exit', () => file.cutTorn())
  device = file
  return file
}

/**
 * Writes one record to standard output.
 * @returns undefined if the system took the record immediately, or a promise that resolves once it
 *   did. The promise rejects if the reader has closed the pipe (EPIPE), if the file cannot be
 *   written, or if the command is to end; `isClosedPipe` says whether that is no failure.
 */
export function write(text: string | Buffer): Promise<void> | undefined {
  if (abandoned !== null) return Promise.reject(abandoned)
  const target = output()
  if (target !== 'stream') {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const written = target.write(bytes)
    if (written === undefined || waitedForRoom) return written
    waitedForRoom = true
    endAtSignal(target)
    return written
  }
  clearStatus()
  const { stdout } = process
  let failed: Error | null | undefined
  let done: (() => void) | undefined
  let fail: ((error: unknown) => void) | undefined
  stdout.write(text, (error) => {
    failed = error
    if (fail !== undefined) rejections.delete(fail)
    if (error) fail?.(error)
    else done?.()
  })
  // The usual case: the system took the text immediately. It must be fast, so it makes no promise.
  if (stdout.writableLength === 0 && !stdout.errored) return undefined
  return new Promise((resolve, reject) => {
    if (failed) return reject(failed)
    done = resolve
    fail = reject
    rejections.add(reject)
  })
}

/**
 * While a full disk is waited for, a signal that ends the process immediately, because nobody else
 * listens, first cuts off the part of a record.
 */
function endAtSignal(file: FileOutput): void {
  for (const signal of ENDING) {
    const listener = () => {
      if (process.listenerCount(signal) > 1) return
      file.cutTorn()
      process.off(signal, listener)
      process.kill(process.pid, signal)
    }
    process.on(signal, listener)
  }
}

let printing: Promise<void> = Promise.resolve()

/** Writes a text for which the caller does not wait, such as a page of help. */
export function print(text: string): void {
  const before = printing
  const written = write(text)
  printing = before.then(() => written)
  // `printed` reports it.
  printing.catch(() => {})
}

/** Resolves once everything that was printed is written; rejects as `write`. */
export function printed(): Promise<void> {
  return printing
}

/**
 * Gives up what the reader or the disk has not taken, because the command is to end. Pending writes
 * reject.
 */
export function abandonOutput(): void {
  abandoned ??= new OutputAbandoned('the command ends')
  if (device instanceof FileOutput) device.abandon(abandoned)
  for (const reject of rejections) reject(abandoned)
  rejections.clear()
}

/** Whether something was given to `write` that the system has not taken. */
export function isOutputPending(): boolean {
  if (device instanceof FileOutput) return device.isWaiting
  return device === 'stream' && process.stdout.writableLength > 0
}

/**
 * This listener does nothing, because the writer of each text handles its error. Without a listener
 * an error would end the process.
 */
export function guardOutput(): void {
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
}

/** The reader of standard output is gone. On a terminal (EIO) the terminal is. */
const CLOSED: ReadonlySet<string | undefined> = new Set([
  ...['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'],
])

/** Whether a write was not finished because nobody wants the rest, which is no failure. */
export function isClosedPipe(error: unknown): boolean {
  if (error instanceof OutputAbandoned) return true
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException
  if (syscall !== undefined && syscall !== 'write') return false
  return CLOSED.has(code) || (code === 'EIO' && isatty(STDOUT))
}
