/**
 * What does `pipe` read: a file, or a stream that can be read only once? And which request is a
 * line?
 */
import { type Stats, statSync } from 'node:fs'
import { type Line, type LineParser, readOnce, requestOfJson } from '../disk/index.ts'
import { checkRequest, type PublishRequest, type Request, UsageError } from '../index.ts'
import { keptQos, protocolVersionOf, qosFlag } from './flags.ts'
import { requestOfMosquitto } from './mosquitto-json.ts'
import type { PipeFlags } from './pipe-flags.ts'

/**
 * @returns the size, 0 if a file that is followed is not there yet, or null if the file can be read
 *   only once: standard input or a FIFO.
 */
export function fileSizeOf(path: string, follow: boolean): number | null {
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

export function streamOf(path: string) {
  if (path !== '-') return readOnce(path)
  const bytes = process.stdin
  return { name: 'stdin', bytes: bytes as AsyncIterable<Buffer> & typeof bytes }
}

const AS_IT_IS = 'give -t topic to send lines as they are'

/**
 * @param advice What to do if the lines have another form.
 * @returns what makes a request of a line.
 */
export function lineParser(flags: PipeFlags, advice = AS_IT_IS): LineParser {
  const { mqtt, qos, retain = false, topic, spool: directory } = flags
  const version = protocolVersionOf(mqtt)
  const defaults = { qos: qosFlag(qos, keptQos(flags)), retain }
  return (line) => {
    if (topic !== undefined) {
      if (line.bytes.length === 0) return null
      return { cmd: 'publish', topic, payload: line.bytes, ...defaults }
    }
    const request = requestOfMosquitto(line) ?? requestIn(line, advice)
    if (request === null) return null
    checkRequest(request, version)
    const isSent = ['publish', 'subscribe', 'unsubscribe'].includes(request.cmd)
    if (directory !== undefined && !isSent) {
      throw new UsageError('a control cannot be spooled: it would act long after it was written')
    }
    return request.cmd === 'publish' ? { ...defaults, ...request } : request
  }
}

/** @returns the request of a line of JSON, in which a publish needs no cmd; null if it is blank. */
function requestIn(line: Line, advice: string): Request | null {
  let request: Request | null
  try {
    request = requestOfJson(line)
  } catch (error) {
    const { message } = error as Error
    throw new UsageError(`${message}; ${advice}`, { cause: error })
  }
  if (request === null) return null
  const { cmd, topic, payload } = request as Partial<PublishRequest>
  if (cmd === undefined && (topic === undefined || payload === undefined)) {
    throw new UsageError(`a topic and a payload are expected, or a cmd; ${advice}`)
  }
  const isPublish = cmd === undefined || cmd === 'publish'
  if (isPublish && payload !== undefined && !isPayload(payload)) {
    throw new UsageError(
      'payload must be a string or, for bytes, {"base64":"AP8="}; JSON is written as a string, ' +
        'with a backslash before each quotation mark',
    )
  }
  return cmd === undefined ? ({ ...(request as object), cmd: 'publish' } as Request) : request
}

function isPayload(payload: unknown): boolean {
  const { base64 } = (payload ?? {}) as { base64?: unknown }
  return typeof payload === 'string' || typeof base64 === 'string'
}
