/** `it-mqtt/disk`: request streams and sessions that outlive their process. */

export type {
  FileRequestsOptions,
  FileRequestsSetup,
  FileWarning,
  ReadableBytes,
} from './file/file-options.ts'
export { fileRequests } from './file/file-requests.ts'
export { FileRequests } from './file/file-stream.ts'
export type { Line } from './file/lines.ts'
export { readOnce } from './file/open-file.ts'
export { type LineParser, requestOfJson } from './file/parse-line.ts'
export type { Generation, LeftFile, Position, Proof } from './file/position.ts'
export { replaceFile } from './node/replace-file.ts'
export { openSession } from './session/disk-session.ts'
export { type Spool, spool } from './spool/spool.ts'
export type { ClearedDamage, Producer, SpoolOptions, SpoolWarning } from './spool/spool-options.ts'
