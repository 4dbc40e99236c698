/**
 * What of a configuration needs files or modules, and so cannot work in a browser? This is `#host`
 * there: each function throws a UsageError when it is called, and there is no environment.
 */
import { UsageError } from '../../index.ts'

/** @throws always. */
export async function readFileText(_path: string, _bytesMax: number): Promise<string | null> {
  const remedy = 'give loadConfig() an https: URL, an object or a function'
  throw noFile(`loadConfig: this runtime gives no access to files; ${remedy}`)
}

/** @throws always. */
export function pathOfUrl(_url: URL): string {
  throw noFile('loadConfig: this runtime gives no access to files; give an https: URL')
}

/** @throws always. */
export function pathBeside(_file: string | null, _path: string): string | null {
  throw noFile('loadConfig: this runtime gives no access to files; leave out what names one')
}

/** @throws always. */
export async function importFile(_path: string): Promise<Readonly<Record<string, unknown>>> {
  const remedy = 'give createBus() the option `hooks`'
  throw noFile(`loadConfig: this runtime loads no modules of a configuration; ${remedy}`)
}

/** @returns nothing: a page has no environment. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return {}
}

/** A page ends without being asked. */
export function beforeEnd(_tell: () => void): () => void {
  return () => {}
}

/** @returns null: a page is no process. */
export function processId(): number | null {
  return null
}

function noFile(message: string): UsageError {
  return new UsageError(message, { code: 'NO_FILES' })
}
