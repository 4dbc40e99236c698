/**
 * What of `it-mqtt/disk` needs files, and so cannot work in a browser? This is `#files` there. Each
 * function throws a UsageError when it is called: if they were missing, a program for both would
 * not even load.
 *
 * The types that users see are always those of ../node/files.ts.
 */
import { UsageError } from '../../errors.ts'

function noFiles(name: string): UsageError {
  const message = `${name}: this runtime gives no access to files; push to a spool() instead`
  return new UsageError(message, { code: 'NO_FILES' })
}

function refuseFile(): never {
  throw noFiles('fileRequests')
}

class NoFileStream {
  constructor() {
    throw noFiles('FileRequests')
  }
}

function refusePipe(): never {
  throw noFiles('readOnce')
}

async function refuseReplacing(): Promise<never> {
  throw noFiles('replaceFile')
}

export {
  NoFileStream as FileRequests,
  refuseFile as fileRequests,
  refusePipe as readOnce,
  refuseReplacing as replaceFile,
}
