/**
 * Bytes as lines, one chunk at a time: memory stays flat at any size, and every line knows where it stands.
 */
import { UsageError } from '../../errors.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  /** Of its first byte. */
  readonly offset: number
  /** Where the next line begins. */
  readonly end: number
  /** Without its line end. */
  readonly bytes: Buffer
}

/** Where reading begins: a byte, and the number of the line there. */
export interface Place {
  readonly offset: number
  readonly line: number
}

/** The largest payload of MQTT in base64 [MQTT 2.1.4], and room for what stands around it. */
const LINE_BYTES_MAX = 360_000_000

const LF = 10
const CR = 13

/** The lines that each chunk completes; a last line without a line end counts too. */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  from: Place,
  name: string,
): AsyncGenerator<readonly Line[]> {
  let { offset, line: number } = from
  let begun: Buffer[] = []
  let begunBytes = 0
  const finish = (last: Buffer, ending: number): Line => {
    const whole = begun.length === 0 ? last : Buffer.concat([...begun, last])
    begun = []
    begunBytes = 0
    const line = { number, offset, end: offset + whole.length + ending, bytes: withoutCr(whole) }
    number++
    offset = line.end
    return line
  }
  for await (const chunk of chunks) {
    const lines: Line[] = []
    let start = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, start)) {
      lines.push(finish(chunk.subarray(start, at), 1))
      start = at + 1
    }
    if (start < chunk.length) begun.push(chunk.subarray(start))
    begunBytes += chunk.length - start
    if (begunBytes > LINE_BYTES_MAX) {
      throw new UsageError(`${name}:${number}: the line is longer than ${LINE_BYTES_MAX} bytes`)
    }
    if (lines.length > 0) yield lines
  }
  if (begun.length > 0) yield [finish(Buffer.alloc(0), 0)]
}

function withoutCr(bytes: Buffer): Buffer {
  return bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes
}
