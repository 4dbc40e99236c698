/** `it-mqtt/disk`: request streams, sessions and memories of events that outlive their process. */

export { FileRequests, fileRequests, readOnce, replaceFile } from '#files'
export { type DiskDedupe, openDedupe } from './dedupe.ts'
export type {
  FileRequestsOptions,
  FileRequestsSetup,
  FileWarning,
  ReadableBytes,
} from './file/file-options.ts'
export { type Line, type LineParser, requestOfJson } from './file/parse-line.ts'
export type { Generation, LeftFile, Position, Proof } from './file/position.ts'
export { openSession } from './session/disk-session.ts'
export { type Spool, spool } from './spool/spool.ts'
export type { ClearedDamage, Producer, SpoolOptions, SpoolWarning } from './spool/spool-options.ts'
