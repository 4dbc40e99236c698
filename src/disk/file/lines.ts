/**
 * Where does each line of a file begin and end? Bytes become lines one chunk at a time, so memory
 * stays flat at any size.
 */
import { UsageError } from '../../errors.ts'
import type { Line } from './parse-line.ts'

/** The place and the line number at which reading begins. */
interface LineStart {
  /** The place of the first byte. */
  readonly offset: number
  /** The number of the line there. */
  readonly line: number
}

/** The largest payload of MQTT in base64 [MQTT 2.1.4], and room for the rest of a request. */
const LINE_BYTES_MAX = 360_000_000

/** U+FEFF in UTF-8. */
const MARK = Buffer.from([0xef, 0xbb, 0xbf])
const LF = 10
const CR = 13

/**
 * Yields the lines that each chunk completes.
 * @param isLine Says of what is left at the end, without a line end, whether it is a line. Default:
 *   it is one.
 * @throws UsageError if a line is too long.
 */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  from: LineStart,
  name: string,
  isLine: (last: Line) => boolean = () => true,
): AsyncGenerator<readonly Line[]> {
  let { offset, line: number } = from
  let begun: Buffer[] = []
  let begunBytes = 0
  const finish = (last: Buffer, endBytes: number): Line => {
    const whole = begun.length === 0 ? last : Buffer.concat([...begun, last])
    begun = []
    begunBytes = 0
    const text = number === 1 ? withoutMark(whole) : whole
    const line = { number, offset, end: offset + whole.length + endBytes, bytes: withoutCr(text) }
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
  if (begun.length === 0) return
  const last = finish(Buffer.alloc(0), 0)
  if (isLine(last)) yield [last]
}

/** @returns the bytes without the byte order mark that some editors begin a file with. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes.subarray(0, MARK.length).equals(MARK) ? bytes.subarray(MARK.length) : bytes
}

function withoutCr(bytes: Buffer): Buffer {
  return bytes.at(-1) === CR ? bytes.subarray(0, -1) : bytes
}
