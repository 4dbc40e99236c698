/**
 * Which part of `it-mqtt/disk` reads and writes files? This is `#files` on Node, Bun and Deno;
 * ../web/files.ts is its twin.
 */
export { fileRequests } from '../file/file-requests.ts'
export { FileRequests } from '../file/file-stream.ts'
export { readOnce } from '../file/read-once.ts'
export { replaceFile } from './replace-file.ts'
