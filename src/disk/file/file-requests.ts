/**
 * How does a file become a request stream? One request for each line, read when the loop asks for
 * it.
 */
import { checkFileOptions, type FileRequestsOptions } from './file-options.ts'
import { FileRequests } from './file-stream.ts'
import { type LineParser, requestOfJson, textOfLine } from './parse-line.ts'

/**
 * Opens a file as a request stream. It is read lazily, one request for each line, whose `key` is
 * the offset of its first byte. If the name ends in `.gz` the file is unpacked, and offsets count
 * unpacked bytes.
 *
 * @throws UsageError if an option cannot be used. The iteration throws a UsageError for a file that
 *   cannot be read or is not the one of the checkpoint (`FILE_GONE`), and for a line that is not a
 *   request (`INVALID_LINE`), naming file and line.
 */
export function fileRequests(path: string, options: FileRequestsOptions = {}): FileRequests {
  checkFileOptions(path, options)
  const { parse } = options
  const parseLine: LineParser =
    parse === undefined ? requestOfJson : (line) => parse(textOfLine(line), line.number)
  return new FileRequests({ source: path, options, parseLine })
}
