/** `it-mqtt/disk`: request streams and sessions that outlive their process. */

export { type FileRequests, type FileRequestsOptions, fileRequests } from './file/file-requests.ts'
export { openSession } from './session/disk-session.ts'
export { type Spool, spool } from './spool/spool.ts'
export type { SpoolOptions } from './spool/spool-options.ts'
