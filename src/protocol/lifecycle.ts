/**
 * What may the connection become? The table says it for each kind and each input; `enter` is the
 * only way to change the kind.
 *
 * docs/LIFECYCLE.md is drawn from the table. One input may lead through several kinds: a CONNACK
 * makes `connected`, and if nothing is left to do then, `closing` as well.
 */

import { assert } from '../errors.ts'
import type { InputType } from './contract.ts'
import type { Draft } from './draft.ts'
import type { ConnectionKind } from './state.ts'

/** The kinds that can be left, in the order of the columns below. */
const COLUMNS = [
  ...(['idle', 'connecting', 'connected', 'disconnected', 'suspended', 'closing'] as const),
] satisfies readonly ConnectionKind[]

type InputRow = readonly [
  idle: string,
  connecting: string,
  connected: string,
  disconnected: string,
  suspended: string,
  closing: string,
]

/** The end of a loop without a transport. `failed` is the end with an error. */
const END = 'closed failed'
/** The end of a loop that may have a transport. */
const ENDS = 'closing closed failed'

/** Each row is one input; the columns are those of `InputRow`. */
// biome-ignore format: a table is read by its columns
const GRID = {
  start:           ['connecting', '',                              '',                              '',                                           '',                        ''],
  opened:          ['',           '',                              '',                              '',                                           '',                        ''],
  connectivity:    ['',           '',                              '',                              'connecting disconnected suspended failed',    'connecting suspended failed', ''],
  network:         ['',           'disconnected',                  'disconnected',                  'connecting closing',                         'connecting',              ''],
  received:        ['',           'connected disconnected',        'disconnected closing',          'closing',                                    '',                        ''],
  deviated:        ['',           '',                              '',                              '',                                           '',                        ''],
  malformed:       ['',           'disconnected',                  'disconnected',                  'closing',                                    '',                        ''],
  authenticated:   ['',           'connected',                     'disconnected closing',          'closing',                                    '',                        ''],
  unauthenticated: ['',           'disconnected',                  'disconnected',                  'closing',                                    '',                        ''],
  reauthenticate:  ['',           '',                              '',                              '',                                           '',                        ''],
  written:         ['',           '',                              'closing',                       '',                                           '',                        ''],
  released:        ['',           '',                              '',                              '',                                           '',                        ''],
  congestion:      ['',           '',                              '',                              '',                                           '',                        ''],
  unwritable:      ['',           '',                              '',                              '',                                           '',                        ''],
  lost:            ['',           'disconnected suspended failed', 'disconnected suspended failed', `connecting disconnected suspended ${END}`,   `connecting ${END}`,       END],
  requests:        ['',           '',                              '',                              '',                                           '',                        ''],
  refused:         ['',           '',                              '',                              '',                                           '',                        ''],
  births:          ['',           '',                              'closing',                       '',                                           '',                        ''],
  requestsEnded:   ['',           '',                              'closing',                       '',                                           '',                        ''],
  apart:           ['',           '',                              'closing',                       '',                                           '',                        ''],
  cancel:          [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  diverted:        ['',           'closing',                       'closing',                       ENDS,                                         END,                       ''],
  pulled:          ['',           '',                              'closing',                       '',                                           '',                        ''],
  ack:             ['',           '',                              'closing',                       '',                                           '',                        ''],
  unread:          [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  pause:           ['',           '',                              '',                              '',                                           '',                        ''],
  resume:          ['',           '',                              '',                              '',                                           '',                        ''],
  throttle:        ['',           '',                              'closing',                       '',                                           '',                        ''],
  reconnect:       ['',           '',                              'disconnected',                  'connecting closing',                         'connecting',              ''],
  ping:            ['',           '',                              '',                              '',                                           '',                        ''],
  disconnect:      [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  shutdown:        [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  tick:            [END,          'disconnected closing',          'disconnected closing',          `connecting disconnected suspended ${ENDS}`,  `connecting suspended ${END}`, ''],
} as const satisfies Record<InputType, InputRow>

/** The kinds that may follow each kind at each input. `closed` and `failed` are never left. */
export const LIFECYCLE: Readonly<
  Record<ConnectionKind, Readonly<Record<InputType, readonly ConnectionKind[]>>>
> = {
  ...(Object.fromEntries(COLUMNS.map((kind, i) => [kind, column(i)])) as Record<
    (typeof COLUMNS)[number],
    Record<InputType, readonly ConnectionKind[]>
  >),
  closed: column(-1),
  failed: column(-1),
}

function column(index: number): Record<InputType, readonly ConnectionKind[]> {
  const cells = Object.entries(GRID).map(([input, row]) => {
    const kinds = row[index] ?? ''
    return [input, kinds === '' ? [] : kinds.split(' ')]
  })
  return Object.fromEntries(cells)
}

/**
 * Changes the kind of the connection. The caller sets `reason` and `retryAt` before. From
 * `disconnected` to itself reports a new `retryAt`. `connected` needs `sessionPresent`.
 */
export function enter(
  d: Draft,
  to: ConnectionKind,
  at: number,
  sessionPresent: boolean | null = null,
): void {
  const { kind: from, reason, retryAt } = d.connection
  const allowed: readonly ConnectionKind[] = LIFECYCLE[from][d.input]
  assert(allowed.includes(to), `${from} became ${to} at the input ${d.input}`)
  d.connection.kind = to
  d.effects.push({ type: 'transition', from, to, reason, at, retryAt, sessionPresent })
}

/**
 * @returns whether there is no connection and no attempt, so that the next attempt waits for its
 * instant.
 */
export function isWaiting(kind: ConnectionKind): boolean {
  return kind === 'disconnected' || kind === 'suspended'
}

/** @returns whether there is no connection, and one is wanted. */
export function isDown(kind: ConnectionKind): boolean {
  return kind === 'connecting' || isWaiting(kind)
}
