/**
 * What stands on the screen? A pure function: the state, the tree of topics and the size of the
 * terminal in, lines out, none of them wider than the terminal.
 */
import { counted } from '../fail.ts'
import { headLine, layoutOf, rowLine } from './columns.ts'
import { DETAILS_MISSING, detailLines } from './details.ts'
import { isUnfolded, matching } from './rows.ts'
import { fitted, wrapped } from './safe-text.ts'
import { HELP_LINES } from './screen-help.ts'
import type { ScreenState } from './screen-state.ts'
import type { TopicNode, Traffic } from './traffic.ts'
import { amount } from './value-text.ts'

interface FrameStatus {
  /** The server, without a password. */
  readonly server: string
  /** The state of the connection in words. */
  readonly connection: string
  readonly isConnected: boolean
  /** How late this process is, in ms. */
  readonly lagMs: number
  /** Packets that were received and are not counted yet. */
  readonly waiting: number
}

interface Frame {
  readonly traffic: Traffic
  readonly state: ScreenState
  readonly rows: readonly TopicNode[]
  readonly status: FrameStatus
  /** The clock of the tree, in ms. */
  readonly now: number
  /** What to add to an instant of that clock to get one of `Date`. */
  readonly epoch: number
  readonly columns: number
  readonly height: number
  readonly hasColor: boolean
}

/** Lines above the rows if the terminal is high enough. */
const HEAD_LINES = 3
const HEIGHT_MIN = 7
const HINTS = '/ filter  s sort  p pause  d details  x clear  ? help  q quit'

/** @returns how many rows of the tree a screen of this height has. */
export function pageRows(height: number): number {
  return Math.max(1, height - 1 - (height < HEIGHT_MIN ? 0 : HEAD_LINES))
}

/** @returns exactly `height` lines. */
export function frameLines(frame: Frame): string[] {
  const { columns, height, hasColor } = frame
  const page = pageRows(height)
  const body = bodyLines(frame, page)
  const filled = [...body, ...new Array<string>(Math.max(0, page - body.length)).fill('')]
  const head = height < HEIGHT_MIN ? [] : headLines(frame)
  const foot = paint(fitted(footText(frame), columns), 'bold', hasColor)
  return [...head, ...filled, foot].slice(-height)
}

function headLines({ traffic, state, status, now, columns, hasColor }: Frame): string[] {
  const { server, connection, isConnected } = status
  const title = columns < 70 ? `${connection}  ${server}` : `it-mqtt top  ${server}  ${connection}`
  const tone = isConnected ? 'green' : 'red'
  const heads = state.mode.kind === 'help' ? fitted('help', columns) : headLine(layoutOf(columns))
  const isDetails = state.mode.kind === 'details'
  const third = isDetails ? fitted(state.selected?.path ?? '', columns) : fitted(heads, columns)
  return [
    paint(fitted(title, columns), tone, hasColor),
    fitted(totalsText(traffic, state, status, now), columns),
    paint(third, 'reverse', hasColor),
  ]
}

function totalsText(
  traffic: Traffic,
  state: ScreenState,
  status: FrameStatus,
  now: number,
): string {
  const stats = traffic.statsOf(traffic.root) ?? traffic.root.stats
  const at = traffic.shownAt(now)
  const rate = amount(stats.rate.lastSecond(at))
  const average = amount(stats.rate.messages(at, traffic.since))
  const bytes = amount(stats.rate.bytes(at, traffic.since))
  const { unkept } = traffic
  const parts: string[] = []
  if (traffic.isFrozen) parts.push(`PAUSED, ${count(traffic.messagesSinceFreeze)} more`)
  if (state.filter !== '') {
    const nodes = matching(traffic, state.filter)
    const topics = [...(nodes ?? [])].filter(({ stats: { own } }) => own !== null).length
    parts.push(`filter ${state.filter}: ${count(topics)}`)
  }
  parts.push(counted(stats.messages, 'message'), `${rate}/s (${average}/s)`)
  parts.push(`${bytes} B/s`, counted(stats.topics, 'topic'))
  if (unkept.messages > 0) {
    const topics = `${unkept.isMore ? 'more than ' : ''}${count(unkept.topics)}`
    const messages = counted(unkept.messages, 'message')
    parts.push(`not shown: ${messages} of ${topics} topics (--max-topics)`)
  }
  if (state.sort !== 'name') parts.push(`by ${state.sort}`)
  parts.push(`lag ${Math.round(status.lagMs)} ms`)
  if (status.waiting > 0) parts.push(`${count(status.waiting)} waiting`)
  return parts.join('  ')
}

function bodyLines(frame: Frame, page: number): readonly string[] {
  const { traffic, state, rows, now, columns, hasColor } = frame
  const text = scrolledLines(frame)
  if (text !== null) {
    const scroll = 'scroll' in state.mode ? state.mode.scroll : 0
    return text.slice(scroll, scroll + page)
  }
  if (rows.length === 0) {
    const words = state.filter === '' ? 'No message came yet.' : 'No topic matches the filter.'
    return wrapped(words, columns, page)
  }
  const layout = layoutOf(columns)
  return rows.slice(state.top, state.top + page).map((node) => {
    const line = rowLine(layout, node, isUnfolded(state.folds, node), traffic, now)
    if (node === state.selected) return paint(line, 'reverse', hasColor)
    const { rate } = traffic.statsOf(node) ?? node.stats
    const isQuiet = rate.messages(traffic.shownAt(now), traffic.since) === 0
    return isQuiet ? paint(line, 'dim', hasColor) : line
  })
}

/** @returns the lines of the help or of the details, or null if the tree is shown. */
function scrolledLines(frame: Frame): readonly string[] | null {
  const { kind } = frame.state.mode
  if (kind !== 'help' && kind !== 'details') return null
  const source = kind === 'help' ? HELP_LINES : detailsOf(frame)
  return source.flatMap((line) => wrapped(line, frame.columns, SCROLLED_LINES_MAX))
}

/** @returns the state, scrolled no further than to the last lines. */
export function withinText(frame: Frame): ScreenState {
  const { state, height } = frame
  const { mode } = state
  if (!('scroll' in mode) || mode.scroll === 0) return state
  const most = Math.max(0, (scrolledLines(frame)?.length ?? 0) - pageRows(height))
  return { ...state, mode: { ...mode, scroll: Math.min(mode.scroll, most) } }
}

/** As many as a payload of 64 KiB has on a narrow terminal. */
const SCROLLED_LINES_MAX = 2_000

function detailsOf({ traffic, state, now, epoch }: Frame): readonly string[] {
  const stats = state.selected === null ? null : traffic.statsOf(state.selected)
  if (stats === null) return DETAILS_MISSING
  return detailLines(stats, traffic.shownAt(now), traffic.since, epoch)
}

function footText({ state, columns }: Frame): string {
  const { mode, filter, note } = state
  if (mode.kind === 'filter') return `/${filter.slice(-Math.max(1, columns - 3))}_`
  if (mode.kind === 'clear') return questionText(mode.question, columns)
  if (note !== '') return note
  return mode.kind === 'tree' ? HINTS : 'q back  arrows scroll'
}

/** A question is seen up to its end, where the answers stand. */
function questionText(question: string, columns: number): string {
  const answers = ' y/n'
  return `${fitted(question, Math.max(1, columns - answers.length)).trimEnd()}${answers}`
}

/** @returns a count with separators: 12,345. */
function count(value: number): string {
  return value.toLocaleString('en')
}

const STYLES = {
  bold: ['\x1b[1m', '\x1b[22m'],
  dim: ['\x1b[2m', '\x1b[22m'],
  reverse: ['\x1b[7m', '\x1b[27m'],
  green: ['\x1b[32m', '\x1b[39m'],
  red: ['\x1b[31m', '\x1b[39m'],
} as const

/** NO_COLOR is about colors: bold, dim and reverse stay. */
function paint(line: string, style: keyof typeof STYLES, hasColor: boolean): string {
  if (!hasColor && (style === 'green' || style === 'red')) return line
  const [on, off] = STYLES[style]
  return `${on}${line}${off}`
}
