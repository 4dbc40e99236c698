/**
 * What is said about a connection? `reportOf` decides it, from what happened and from what was said
 * before. follow-connection.ts writes it.
 *
 * A line is said when something has changed: the connection was lost, there is one again, an
 * attempt fails for another reason. A terminal also has a status, which is true as long as it is
 * shown. Nothing is said about a connection that begins and ends as it should, and nothing about
 * the error with which the command ends, because the command itself says that.
 */
import type { ConnectionFailure, Transition, Warning } from '../index.ts'
import { duration, inWords } from './words.ts'

/** What happened. */
export type Happening =
  | (NewsContext &
      Pick<Transition, 'to' | 'reason' | 'at' | 'retryAt'> & { readonly type: 'changed' })
  | (NewsContext & {
      readonly type: 'accepted'
      readonly at: number
      readonly sessionPresent: boolean
    })
  | (NewsContext & { readonly type: 'warned' } & Pick<Warning, 'code' | 'message'>)

interface NewsContext {
  /** The server of the current or the last attempt. */
  readonly server: string
  readonly clientId: string
}

/** What was said before. */
interface News {
  /** Since when there is no connection; null while there is one. */
  readonly downSince: number | null
  /** When the latest connection began; null before the first. */
  readonly connectedAt: number | null
  /** A loss that is not said yet, because the loop may end with it. */
  readonly loss: Loss | null
  /** The cause of the latest loss, and how many connections in a row were lost so soon. */
  readonly cause: string
  readonly losses: number
  /** Whether attempts fail, of which the cause was said. */
  readonly isWaiting: boolean
  /** What was said, and is not repeated until a connection lasts. */
  readonly said: readonly string[]
}

interface Loss {
  readonly cause: string
  readonly code: string
  readonly at: number
}

export const NO_NEWS: News = {
  downSince: null,
  connectedAt: null,
  loss: null,
  cause: '',
  losses: 0,
  isWaiting: false,
  said: [],
}

/** What a terminal shows below the messages. */
export interface Status {
  readonly text: string
  /** When the next attempt is due; null if none is. */
  readonly retryAt: number | null
}

interface Report {
  readonly news: News
  readonly lines: readonly string[]
  /** A line for those who see no status. */
  readonly waiting: string | null
  /** The status from now on, or undefined if it stays. */
  readonly status: Status | null | undefined
}

/** A connection that is lost sooner has not lasted. */
const LASTS_MS = 60_000

/** So many losses in a row with one cause are said; later ones are not. */
const LOSSES_SAID = 3

/**
 * After so many losses in a row without a reason, another client may have the same identifier. MQTT
 * 3 cannot say so, and mosquitto 2.0.11 does not say it with MQTT 5 either.
 */
const SUSPECTED_AFTER = 2
const CLOSED: ReadonlySet<string> = new Set(['CONNECTION_CLOSED', 'ECONNRESET'])

/** So many different causes are remembered. */
const SAID_MAX = 32

export function reportOf(news: News, happening: Happening): Report {
  if (happening.type === 'warned') return warned(news, happening)
  if (happening.type === 'accepted') return accepted(news, happening)
  return changed(news, happening)
}

type Changed = Extract<Happening, { type: 'changed' }>

function changed(news: News, happening: Changed): Report {
  const { to, reason, at, retryAt, server } = happening
  switch (to) {
    case 'connected':
      return {
        ...nothing({ ...news, connectedAt: at, loss: null, isWaiting: false }),
        status: null,
      }
    case 'connecting': {
      const report = sayLoss(begun(news, at), happening)
      return { ...report, status: { text: `connecting to ${server}`, retryAt: null } }
    }
    case 'disconnected':
    case 'suspended': {
      const noted = lossNoted(begun(news, at), reason, at)
      if (retryAt === null) return nothing(noted)
      const isLoss = noted.loss !== null
      const report = sayLoss(noted, happening)
      if (reason === null) return report
      const text = isLoss ? `no connection to ${server}` : waitingText(server, reason)
      const status = { text, retryAt }
      if (isLoss || report.news.said.includes(text)) return { ...report, status }
      const waiting = withRetry(status, at)
      const said = { ...withSaid(report.news, text), isWaiting: true }
      return { ...report, news: said, waiting, status }
    }
    case 'failed':
      return { ...failureReport(news, happening), status: null }
    default:
      return { ...nothing({ ...news, loss: null }), status: null }
  }
}

function begun(news: News, at: number): News {
  return { ...news, downSince: news.downSince ?? at }
}

/** Notes the loss of a connection. An attempt that failed is none. */
function lossNoted(news: News, reason: ConnectionFailure | null, at: number): News {
  if (reason?.phase !== 'connected' || news.connectedAt === null) return news
  const { connectedAt } = news
  const cause = inWords(reason.message).replace(/\.$/, '')
  const again = cause === news.cause && at - connectedAt < LASTS_MS
  const loss = { cause, code: reason.code, at }
  const said = again ? news.said : []
  return { ...news, connectedAt: null, loss, cause, losses: again ? news.losses + 1 : 1, said }
}

function sayLoss(noted: News, { at, retryAt, ...context }: Changed): Report {
  const { loss } = noted
  const news = { ...noted, loss: null }
  if (loss === null || news.losses > LOSSES_SAID) return nothing(news)
  const lost =
    loss.code === 'SESSION_TAKEN_OVER'
      ? takenOver(context)
      : `connection to ${context.server} lost: ${withoutServer(loss.cause, context.server)}`
  const isLast = news.losses === LOSSES_SAID
  const next =
    retryAt === null || retryAt <= at ? '' : `; next attempt in ${duration(retryAt - at)}`
  const line = `${lost}${isLast ? `; this is the ${LOSSES_SAID}rd time, and not said again` : next}`
  const isSuspect = news.losses >= SUSPECTED_AFTER && CLOSED.has(loss.code)
  if (!isSuspect || news.said.includes(SUSPECTED)) return { ...nothing(news), lines: [line] }
  return { ...nothing(withSaid(news, SUSPECTED)), lines: [line, suspected(context)] }
}

function accepted(news: News, happening: Extract<Happening, { type: 'accepted' }>): Report {
  const { at, sessionPresent, server } = happening
  const { downSince } = news
  const up = { ...news, downSince: null }
  if (downSince === null || news.losses > LOSSES_SAID) return nothing(up)
  if (news.losses === 0) {
    const line = `connected to ${server} after ${duration(at - downSince)}`
    return { ...nothing(up), lines: news.said.length > 0 ? [line] : [] }
  }
  const session = sessionPresent
    ? 'the server has kept the session'
    : 'the server has begun a new session'
  const line = `connected to ${server} again after ${duration(at - downSince)}; ${session}`
  return { ...nothing(up), lines: [line] }
}

/** The error itself is said by the command. */
function failureReport(news: News, happening: Changed): Report {
  const ended = nothing({ ...news, loss: null })
  if (happening.reason?.code !== 'SESSION_TAKEN_OVER') return ended
  return { ...ended, lines: [takenOver(happening)] }
}

function takenOver({ server, clientId }: NewsContext): string {
  return (
    `another client has connected to ${server} with the client identifier "${clientId}" and has ` +
    'taken the session over; give each client its own with -i'
  )
}

const SUSPECTED = 'SESSION_TAKEN_OVER_SUSPECTED'

function suspected({ server, clientId }: NewsContext): string {
  return (
    `${server} closes each connection soon; if another client uses the client identifier ` +
    `"${clientId}", the two take the session from each other: give each its own with -i`
  )
}

/** Warnings that mean something else to the user of a command than to a program. */
const STALLED: ReadonlySet<string> = new Set(['CONSUMER_STALLED', 'ACKNOWLEDGEMENT_FORGOTTEN'])

const STALLED_LINE =
  'standard output has not taken everything for a while; until it does, nothing more is read ' +
  'from the server'

function warned(news: News, happening: Extract<Happening, { type: 'warned' }>): Report {
  const { code, message } = happening
  // The cause was said, and nothing was open that could be it.
  const isSaid = news.isWaiting || message.includes('First open: nothing.')
  if (code === 'NO_PROGRESS' && isSaid) return nothing(news)
  if (code === SUSPECTED) {
    if (news.said.includes(SUSPECTED)) return nothing(news)
    return { ...nothing(withSaid(news, SUSPECTED)), lines: [suspected(happening)] }
  }
  if (STALLED.has(code)) {
    if (news.said.includes(STALLED_LINE)) return nothing(news)
    return { ...nothing(withSaid(news, STALLED_LINE)), lines: [STALLED_LINE] }
  }
  return { ...nothing(news), lines: [inWords(message)] }
}

function waitingText(server: string, { message }: ConnectionFailure): string {
  const cause = inWords(message).replace(/\.$/, '')
  return `waiting for ${server}: ${withoutServer(cause, server)}`
}

/** The server is named once. */
function withoutServer(cause: string, server: string): string {
  for (const [before, after] of [
    [`No connection to ${server}: `, ''],
    [`The connection to ${server} was lost: `, ''],
    [`The connection to ${server} was lost`, 'the connection was lost'],
    ['The server closed the connection: ', 'the server closed it: '],
    [`${server} closed the connection`, 'the server closed it'],
  ] as const) {
    if (cause.startsWith(before)) return after + cause.slice(before.length)
  }
  return cause
}

/** @returns the status as it is shown at this instant. */
export function withRetry({ text, retryAt }: Status, at: number): string {
  if (retryAt === null) return text
  return `${text}; next attempt in ${Math.max(0, Math.ceil((retryAt - at) / 1000))} s`
}

function withSaid(news: News, text: string): News {
  return { ...news, said: [...news.said, text].slice(-SAID_MAX) }
}

function nothing(news: News): Report {
  return { news, lines: [], waiting: null, status: undefined }
}
