/**
 * What the connection may become: each kind × each input, nothing left out. docs/LIFECYCLE.md is drawn from it.
 *
 * One input may lead through several kinds: a CONNACK makes `connected`, and where nothing is left to be done `closing` at once.
 */
import type { InputType } from './contract.ts'
import type { ConnectionKind } from './state.ts'

/** Kinds with a way out, in the order of the columns below. */
const COLUMNS = [
  ...(['idle', 'connecting', 'connected', 'disconnected', 'suspended', 'closing'] as const),
] satisfies readonly ConnectionKind[]

type Row = readonly [
  idle: string,
  connecting: string,
  connected: string,
  disconnected: string,
  suspended: string,
  closing: string,
]

// What ends a loop, with a transport and without: `closed`, or `failed` where it ends with an error.
const END = 'closed failed'
const ENDS = 'closing closed failed'

// biome-ignore format: a table is read by its columns
const GRID = {
  //                idle         connecting                       connected                        disconnected                                  suspended                  closing
  start:           ['connecting', '',                              '',                              '',                                           '',                        ''],
  opened:          ['',           '',                              '',                              '',                                           '',                        ''],
  connectivity:    ['',           '',                              '',                              'connecting disconnected suspended failed',    'connecting suspended failed', ''],
  network:         ['',           'disconnected',                  'disconnected',                  'connecting closing',                         'connecting',              ''],
  received:        ['',           'connected disconnected',        'disconnected closing',          'closing',                                    '',                        ''],
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
  pause:           ['',           '',                              '',                              '',                                           '',                        ''],
  resume:          ['',           '',                              '',                              '',                                           '',                        ''],
  throttle:        ['',           '',                              'closing',                       '',                                           '',                        ''],
  reconnect:       ['',           '',                              'disconnected',                  'connecting closing',                         'connecting',              ''],
  ping:            ['',           '',                              '',                              '',                                           '',                        ''],
  disconnect:      [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  shutdown:        [END,          'closing',                       'closing',                       ENDS,                                         END,                       ''],
  tick:            [END,          'disconnected closing',          'disconnected closing',          `connecting disconnected suspended ${ENDS}`,  `connecting suspended ${END}`, ''],
} as const satisfies Record<InputType, Row>

/** All that may follow. What is closed or has failed has no way out. */
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
