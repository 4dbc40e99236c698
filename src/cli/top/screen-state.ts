/**
 * What does a key do? A pure function of the state of the screen, the key and the rows; what has to
 * be done outside comes back as effects.
 */
import { type Folds, isUnfolded, type Selection, SORTS } from './rows.ts'
import type { TopicNode } from './traffic.ts'

/** A text that may be longer than the screen. */
interface Scrolled {
  readonly kind: 'details' | 'help'
  readonly scroll: number
}

/** What the screen shows, and what keys mean. */
type Mode =
  | { readonly kind: 'tree' }
  /** A filter is typed. `before` comes back with Esc. */
  | { readonly kind: 'filter'; readonly before: string }
  | Scrolled
  /** A question: are the retained messages of these topics to be removed? */
  | { readonly kind: 'clear'; readonly topics: readonly string[]; readonly question: string }

export interface ScreenState extends Selection {
  readonly mode: Mode
  readonly selected: TopicNode | null
  /** The first row that is shown. */
  readonly top: number
  readonly isPaused: boolean
  /** The folds that come back once the filter is removed, or null if there is no filter. */
  readonly foldsBefore: Folds | null
  /** What was done or refused last, until the next key. */
  readonly note: string
}

export interface KeyPress {
  /** As Node names it: `up`, `pageup`, `return`; undefined for most characters. */
  readonly name?: string | undefined
  /** The characters themselves. */
  readonly sequence?: string | undefined
  readonly ctrl?: boolean | undefined
  readonly meta?: boolean | undefined
}

export type ScreenEffect =
  | { readonly type: 'quit' | 'interrupt' | 'suspend' | 'redraw' | 'freeze' | 'thaw' }
  | { readonly type: 'clear'; readonly topics: readonly string[] }

interface KeyContext {
  readonly rows: readonly TopicNode[]
  /** How many rows the screen has. */
  readonly page: number
  /** The topics that are known to have a retained message, here and below. */
  readonly retainedBelow: (node: TopicNode) => readonly string[]
  /** Whether messages came for exactly this topic. */
  readonly isTopic: (node: TopicNode) => boolean
}

interface Pressed {
  readonly state: ScreenState
  readonly effects: readonly ScreenEffect[]
}

export const INITIAL: ScreenState = {
  mode: { kind: 'tree' },
  selected: null,
  top: 0,
  isPaused: false,
  folds: { depth: 1, others: new Map() },
  foldsBefore: null,
  filter: '',
  sort: 'name',
  note: '',
}

const TREE = { kind: 'tree' } as const
const ALL_OPEN: Folds = { depth: Number.POSITIVE_INFINITY, others: new Map() }
const ALL_FOLDED: Folds = { depth: 0, others: new Map() }
/** The longest topic. */
const FILTER_CHARACTERS_MAX = 65_535

export function pressed(before: ScreenState, key: KeyPress, context: KeyContext): Pressed {
  const state = { ...before, note: '' }
  const name = keyName(key)
  if (name === 'ctrl-c') return { state, effects: [{ type: 'interrupt' }] }
  if (name === 'ctrl-z') return { state, effects: [{ type: 'suspend' }] }
  if (name === 'ctrl-l') return { state, effects: [{ type: 'redraw' }] }
  const { mode } = state
  if (mode.kind === 'filter') return only(typed(state, mode.before, key, name))
  if (mode.kind === 'clear') {
    if (name !== 'y' && name !== 'Y') return only({ ...state, mode: TREE, note: 'nothing removed' })
    return { state: { ...state, mode: TREE }, effects: [{ type: 'clear', topics: mode.topics }] }
  }
  if (name === 'q') {
    if (mode.kind !== 'tree') return only({ ...state, mode: TREE })
    return { state, effects: [{ type: 'quit' }] }
  }
  if (name === 'p') {
    const isPaused = !state.isPaused
    return { state: { ...state, isPaused }, effects: [{ type: isPaused ? 'freeze' : 'thaw' }] }
  }
  if (name === 'x' || name === 'delete') return only(askToClear(state, context))
  return only(
    mode.kind === 'tree' ? inTree(state, name, context) : scrolled(state, mode, name, context),
  )
}

/** @returns the name of a key: a word for special keys, else the character. */
function keyName({ name, sequence = '', ctrl }: KeyPress): string {
  if (ctrl) return `ctrl-${name}`
  const isCharacter = sequence.length === 1 && sequence > ' ' && sequence !== '\x7f'
  if (isCharacter) return sequence
  return name === 'enter' ? 'return' : (name ?? '')
}

function only(state: ScreenState): Pressed {
  return { state, effects: [] }
}

function inTree(state: ScreenState, name: string, context: KeyContext): ScreenState {
  const { selected } = state
  const step = stepOf(name, context)
  if (step !== null) return { ...state, selected: rowBy(state, step, context) }
  switch (name) {
    case 'return':
    case 'space':
      return selected === null ? state : fold(state, selected, !isUnfolded(state.folds, selected))
    case 'right':
    case 'l':
      return selected === null ? state : fold(state, selected, true)
    case 'left':
    case 'h':
      return folded(state)
    case '+':
      return { ...state, folds: ALL_OPEN }
    case '-':
      return { ...state, folds: ALL_FOLDED, selected: firstLevelOf(selected) }
    case '/':
      return { ...state, mode: { kind: 'filter', before: state.filter } }
    case 'escape':
      return filtered(state, '')
    case 's':
      return { ...state, sort: SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length]! }
    case 'd':
      return selected === null ? state : { ...state, mode: { kind: 'details', scroll: 0 } }
    case '?':
    case 'f1':
      return { ...state, mode: { kind: 'help', scroll: 0 } }
    default:
      return state
  }
}

/** Keys in the details and in the help. The view limits how far they scroll. */
function scrolled(
  state: ScreenState,
  mode: Scrolled,
  name: string,
  context: KeyContext,
): ScreenState {
  const step = stepOf(name, context)
  if (step !== null) return { ...state, mode: { ...mode, scroll: Math.max(0, mode.scroll + step) } }
  if (name === '?' && mode.kind !== 'help') return { ...state, mode: { kind: 'help', scroll: 0 } }
  const isLeft = ['escape', 'return', 'left', mode.kind === 'help' ? '?' : 'd'].includes(name)
  return isLeft ? { ...state, mode: TREE } : state
}

/** By how many rows a key moves, or null if it does not. */
function stepOf(name: string, { page }: KeyContext): number | null {
  switch (name) {
    case 'up':
    case 'k':
      return -1
    case 'down':
    case 'j':
      return 1
    case 'pageup':
      return 1 - Math.max(2, page)
    case 'pagedown':
      return Math.max(2, page) - 1
    case 'home':
    case 'g':
      return -FAR
    case 'end':
    case 'G':
      return FAR
    default:
      return null
  }
}

const FAR = 1_000_000_000

function rowBy({ selected }: ScreenState, step: number, { rows }: KeyContext): TopicNode | null {
  const at = selected === null ? -1 : rows.indexOf(selected)
  return rows[Math.max(0, Math.min(rows.length - 1, at + step))] ?? null
}

function fold(state: ScreenState, node: TopicNode, open: boolean): ScreenState {
  if (node.children.size === 0) return state
  const { depth, others } = state.folds
  return { ...state, folds: { depth, others: new Map([...others, [node, open]]) } }
}

/** Folds the selected topic, or goes to the level above if it is folded. */
function folded(state: ScreenState): ScreenState {
  const { selected, folds } = state
  if (selected === null) return state
  if (isUnfolded(folds, selected)) return fold(state, selected, false)
  const { parent } = selected
  return parent === null || parent.parent === null ? state : { ...state, selected: parent }
}

function firstLevelOf(node: TopicNode | null): TopicNode | null {
  let one = node
  while (one !== null && one.depth > 0) one = one.parent
  return one
}

function typed(state: ScreenState, before: string, key: KeyPress, name: string): ScreenState {
  if (name === 'escape') return { ...filtered(state, before), mode: TREE }
  if (name === 'return') return { ...state, mode: TREE }
  if (name === 'ctrl-u') return filtered(state, '')
  if (name === 'backspace') return filtered(state, [...state.filter].slice(0, -1).join(''))
  const { sequence = '', ctrl, meta } = key
  const isText = !ctrl && !meta && sequence !== '' && !/\p{C}/u.test(sequence)
  if (!isText || state.filter.length >= FILTER_CHARACTERS_MAX) return state
  return filtered(state, state.filter + sequence)
}

/** With a filter everything that matches is unfolded; without one the folds are as before. */
function filtered(state: ScreenState, filter: string): ScreenState {
  if (filter === state.filter) return state
  const { folds, foldsBefore } = state
  if (filter === '') return { ...state, filter, folds: foldsBefore ?? folds, foldsBefore: null }
  return { ...state, filter, folds: ALL_OPEN, foldsBefore: foldsBefore ?? folds }
}

function askToClear(state: ScreenState, { retainedBelow, isTopic }: KeyContext): ScreenState {
  const { selected, mode } = state
  if (selected === null || mode.kind === 'help') return state
  const isAlone = mode.kind === 'details' || selected.children.size === 0
  if (isAlone && isTopic(selected)) {
    const question = `Remove the retained message of ${selected.path}?`
    return { ...state, mode: { kind: 'clear', topics: [selected.path], question } }
  }
  const topics = retainedBelow(selected)
  if (topics.length === 0) {
    return { ...state, note: `no retained message is known at ${selected.path}` }
  }
  const what = topics.length === 1 ? '1 retained message' : `${topics.length} retained messages`
  const question = `Remove ${what} at and below ${selected.path}?`
  return { ...state, mode: { kind: 'clear', topics, question } }
}

/**
 * @returns the state with a selection that is among the rows, and with the rows scrolled so that it
 *   is seen.
 */
export function settled(state: ScreenState, rows: readonly TopicNode[], page: number): ScreenState {
  let { selected } = state
  let at = -1
  while (selected !== null && at < 0) {
    at = rows.indexOf(selected)
    if (at < 0) selected = selected.parent
  }
  at = Math.max(0, at)
  const lowest = Math.max(0, rows.length - page)
  const top = Math.max(0, Math.min(Math.max(state.top, at - page + 1), at, lowest))
  return { ...state, selected: selected ?? rows[0] ?? null, top }
}
