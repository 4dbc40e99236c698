/**
 * Goal: what is said about a connection, in which order, and what is not said again. Method: a table
 * of stories; each step is what happened, and the lines and the status that follow.
 */
import { describe, expect, test } from 'vitest'
import {
  type Happening,
  NO_NEWS,
  reportOf,
  type Status,
  withRetry,
} from '../../src/cli/connection-news.ts'
import type { ConnectionFailure } from '../../src/index.ts'

const SERVER = 'mqtt://host:1883'
const context = { server: SERVER, clientId: 'me' }
const base = { source: 'connection', retryable: true } as const
const REFUSED: ConnectionFailure = {
  ...{ ...base, phase: 'dial', code: 'ECONNREFUSED' },
  message: `No connection to ${SERVER}: connect ECONNREFUSED 10.0.0.1:1883.`,
}
const CLOSED: ConnectionFailure = {
  ...{ ...base, phase: 'connected', code: 'CONNECTION_CLOSED' },
  message: `${SERVER} closed the connection.`,
}
const SHUTTING_DOWN: ConnectionFailure = {
  ...{ ...base, phase: 'connected', code: 'SERVER_SHUTTING_DOWN' },
  message: 'The server closed the connection: server shutting down (0x8B), "for an update".',
}
const TAKEN_OVER: ConnectionFailure = {
  ...{ ...base, phase: 'connected', code: 'SESSION_TAKEN_OVER', retryable: false },
  message: 'The server closed the connection: session taken over (0x8E).',
}

type To = Extract<Happening, { type: 'changed' }>['to']

const change = (
  to: To,
  at: number,
  reason: ConnectionFailure | null = null,
  retryAt: number | null = null,
): Happening => ({ type: 'changed', to, reason, at, retryAt, ...context })
const accept = (at: number, sessionPresent = false): Happening => ({
  ...{ type: 'accepted', at, sessionPresent, ...context },
})
const connected = (at: number): Happening[] => [
  change('connecting', at - 10),
  change('connected', at),
  accept(at),
]
const warn = (code: 'NO_PROGRESS' | 'CONSUMER_STALLED' | 'SERVER_DEVIATION', message: string) =>
  ({ type: 'warned', code, message, ...context }) as const

/** @returns everything that is said, and the last status. */
function tell(happenings: readonly Happening[]): { said: string[]; status: Status | null } {
  let news = NO_NEWS
  let status: Status | null = null
  const said: string[] = []
  for (const happening of happenings) {
    const report = reportOf(news, happening)
    news = report.news
    said.push(...report.lines, ...(report.waiting === null ? [] : [report.waiting]))
    if (report.status !== undefined) status = report.status
  }
  return { said, status }
}

const REFUSED_TEXT = `waiting for ${SERVER}: connection refused (ECONNREFUSED 10.0.0.1:1883)`
const lost = (at: number) => change('disconnected', at, CLOSED, at + 1000)
const SUSPECTED =
  `${SERVER} closes each connection soon; if another client uses the client identifier "me", the ` +
  'two take the session from each other: give each its own with -i'

const STORIES: readonly [title: string, happenings: readonly Happening[], said: string[]][] = [
  ['a connection that begins and ends as it should is not mentioned', connected(10), []],
  [
    'a server that is away: the cause once, whatever the delay is, and when there is a connection',
    [
      change('connecting', 0),
      change('disconnected', 5, REFUSED, 1005),
      change('connecting', 1005),
      change('disconnected', 1010, REFUSED, 3010),
      warn('NO_PROGRESS', 'No progress.'),
      ...connected(12_000),
    ],
    [`${REFUSED_TEXT}; next attempt in 1 s`, `connected to ${SERVER} after 12 s`],
  ],
  [
    'a loss: the cause, then why attempts fail, then what became of the session',
    [
      ...connected(0),
      change('disconnected', 100_000, SHUTTING_DOWN),
      change('disconnected', 100_100, SHUTTING_DOWN, 101_500),
      change('connecting', 101_500, SHUTTING_DOWN),
      change('disconnected', 101_600, REFUSED, 103_600),
      change('connecting', 103_600, REFUSED),
      change('connected', 103_700),
      accept(103_700, true),
    ],
    [
      `connection to ${SERVER} lost: the server closed it: server shutting down (0x8B), "for an ` +
        'update"; next attempt in 1.4 s',
      `${REFUSED_TEXT}; next attempt in 2 s`,
      `connected to ${SERVER} again after 3.7 s; the server has kept the session`,
    ],
  ],
  [
    'an error that ends the loop is said by the command alone, but for a takeover',
    [...connected(0), change('disconnected', 50, CLOSED), change('failed', 60, CLOSED)],
    [],
  ],
  [
    'a takeover says which client identifier it is, and what to do',
    [...connected(0), change('disconnected', 50, TAKEN_OVER), change('failed', 60, TAKEN_OVER)],
    [
      `another client has connected to ${SERVER} with the client identifier "me" and has taken ` +
        'the session over; give each client its own with -i',
    ],
  ],
  [
    'connections that are lost soon, again and again: three times, then not until one lasts',
    [1, 2, 3, 4, 5].flatMap((n) => [...connected(n * 5000), lost(n * 5000 + 2000)]),
    [
      `connection to ${SERVER} lost: the server closed it; next attempt in 1.0 s`,
      `connected to ${SERVER} again after 3.0 s; the server has begun a new session`,
      `connection to ${SERVER} lost: the server closed it; next attempt in 1.0 s`,
      SUSPECTED,
      `connected to ${SERVER} again after 3.0 s; the server has begun a new session`,
      `connection to ${SERVER} lost: the server closed it; this is the 3rd time, and not said again`,
      `connected to ${SERVER} again after 3.0 s; the server has begun a new session`,
    ],
  ],
  [
    'a reader that takes nothing is named once, in words of the command line',
    [...connected(0), warn('CONSUMER_STALLED', 'next()'), warn('CONSUMER_STALLED', 'next()')],
    [
      'standard output has not taken everything for a while; until it does, nothing more is read ' +
        'from the server',
    ],
  ],
  ['other warnings are said as they are', [warn('SERVER_DEVIATION', 'a: b.')], ['a: b.']],
  [
    'Ctrl-C while there is no connection says nothing more',
    [...connected(0), change('disconnected', 50, CLOSED), change('closed', 60)],
    [],
  ],
]

describe('[CLI] P12, what is said about a connection', () => {
  test.each(STORIES)('[CLI] P12: %s', (_, happenings, said) => {
    expect(tell(happenings).said).toEqual(said)
  })

  test('[CLI] P12: a connection that has lasted makes its loss news again', () => {
    const often = [1, 2, 3, 4].flatMap((n) => [...connected(n * 5000), lost(n * 5000 + 2000)])
    const { said } = tell([...often, ...connected(30_000), lost(200_000)])
    expect(said).toHaveLength(8)
    expect(said.at(-1)).toContain('next attempt in 1.0 s')
  })

  test('[CLI] P12: the status of a terminal counts down and ends with the connection', () => {
    const away = [change('connecting', 0), change('disconnected', 5, REFUSED, 4005)]
    const { status } = tell(away)
    expect(withRetry(status!, 5)).toBe(`${REFUSED_TEXT}; next attempt in 4 s`)
    expect(withRetry(status!, 3100)).toBe(`${REFUSED_TEXT}; next attempt in 1 s`)
    expect(tell([...away, ...connected(5000)]).status).toBeNull()
    expect(tell([change('connecting', 0)]).status?.text).toBe(`connecting to ${SERVER}`)
  })
})
