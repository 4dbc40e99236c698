/** `it-mqtt/disk`: request streams and sessions that outlive their process. */

export { type FileRequests, type FileRequestsOptions, fileRequests } from './file-requests.ts'
export { openSession } from './session.ts'
export { type Spool, spool } from './spool.ts'
export type { SpoolOptions } from './spool-options.ts'
