/**
 * Where is it stored how far a file was delivered? In the checkpoint, the spool or the session,
 * whichever of them is given first in this order. Where two of them disagree, neither is believed.
 *
 * A session holds requests of files under their keys, which are places in the file. So each file
 * has a prefix of its own: a request of one file is never taken for that of another one.
 */
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Position, Spool } from '../disk/index.ts'
import { type Request, type SentRequest, UsageError } from '../index.ts'
import type { PipeFlags } from './pipe-flags.ts'
import type { SavedSession } from './session-file.ts'
import { checkpointIn, hashOf, ID_LENGTH } from './session-positions.ts'

export interface PositionKeeper {
  /** The path of a checkpoint; undefined if the position is not stored in one. */
  readonly checkpoint: string | undefined
  /** The position at which an earlier run stopped, unless it is in a checkpoint. */
  readonly position: Position | null
  /** Names what stores the position, in error messages. */
  readonly name: string
  /** Whether an earlier run has read the file to its end. */
  readonly isWhole: boolean
  /** What the keys of the requests begin with, or null if they are not changed. */
  readonly keyPrefix: string | null
  /** Whether the position is saved with the session, in its file. */
  readonly isInSessionFile: boolean
  /** Whether the position is stored in the spool, with the requests. */
  readonly isInSpool: boolean
  /** Lets the next run begin at the first line. It is called once everything is delivered. */
  forget(): Promise<void>
}

/** What a spool stores of a file. */
interface SpooledPosition {
  readonly position: Position
  /** Whether the file was read to its end. */
  readonly isWhole: boolean
}

/** No position is stored. */
export const NOWHERE: PositionKeeper = {
  checkpoint: undefined,
  position: null,
  name: '',
  isWhole: false,
  keyPrefix: null,
  isInSessionFile: false,
  isInSpool: false,
  forget: async () => {},
}

/** Names a file in a spool. */
export function producerName(path: string): string {
  return resolve(path)
}

/**
 * @param spool The spool, if there is one.
 * @throws UsageError if two places have a position of the file.
 */
export async function keeperOf(
  path: string,
  flags: PipeFlags,
  spool: Spool | null,
  saved: SavedSession,
): Promise<PositionKeeper> {
  const { checkpoint, session } = flags
  const inSpool = spool?.positionOf(producerName(path)) as SpooledPosition | null | undefined
  const inSession = (checkpoint ?? spool) ? await saved.unfinished(path) : null
  if (checkpoint !== undefined && inSpool) {
    refuseSecond('--checkpoint', `the spool ${flags.spool}`, path, inSpool.position)
  }
  if (inSession !== null) {
    const given = checkpoint === undefined ? '--spool' : '--checkpoint'
    refuseSecond(given, `the session ${session}`, path, inSession)
  }
  if (checkpoint !== undefined) {
    const keyPrefix = session === undefined ? null : `${hashOf(checkpoint)}:`
    return { ...NOWHERE, checkpoint, keyPrefix, name: checkpoint }
  }
  if (spool !== null) {
    return {
      ...NOWHERE,
      position: inSpool?.position ?? null,
      isWhole: inSpool?.isWhole ?? false,
      isInSpool: true,
      name: `--spool: ${flags.spool}`,
      forget: () => spool.setPosition(producerName(path), null),
    }
  }
  if (session === undefined) return NOWHERE
  if (saved.file !== null) {
    const { id, position } = saved.file.take(path)
    const name = `--session: ${session}`
    const keyPrefix = id === '' ? null : id
    return { ...NOWHERE, position, keyPrefix, isInSessionFile: true, name }
  }
  const file = await checkpointIn(session, path)
  const keyPrefix = `${file.slice(-ID_LENGTH)}:`
  return {
    ...NOWHERE,
    ...{ checkpoint: file, keyPrefix, name: file },
    forget: () => rm(file, { force: true }),
  }
}

function refuseSecond(given: string, keeper: string, path: string, { line }: Position): never {
  throw new UsageError(
    `${given}: ${keeper} has a position of ${path} too, line ${line}; leave out ${given} to go ` +
      'on there',
  )
}

// ----------------------------------------------------------------------------------- the keys

/** @returns the requests with the prefix in their keys. */
export function withPrefix(requests: readonly Request[], prefix: string): readonly Request[] {
  return requests.map((request) => {
    const { key } = request as SentRequest
    return key === undefined ? request : ({ ...request, key: prefix + key } as Request)
  })
}

/** @returns the request as the file knows it, or null if it belongs to another file. */
export function withoutPrefix(request: Request, prefix: string | null): Request | null {
  const { key } = request as SentRequest
  if (prefix === null) return typeof key === 'string' ? null : request
  if (key === undefined) return request
  if (typeof key === 'number' || !key.startsWith(prefix)) return null
  return { ...request, key: Number(key.slice(prefix.length)) } as Request
}

/** @returns the position once these requests of the file are settled too. */
export function positionWithout(position: Position, settled: readonly Request[]): Position {
  const places = new Set(settled.map((request) => (request as SentRequest).key))
  const unsettled = position.unsettled.filter(([place]) => !places.has(place))
  return { ...position, unsettled, offset: unsettled[0]?.[0] ?? position.readThrough }
}

/** @returns whether a file that an earlier run has read to its end was replaced by another one. */
export function isReplaced(error: unknown, { isWhole }: PositionKeeper): boolean {
  return isWhole && error instanceof UsageError && error.code === 'FILE_GONE'
}
