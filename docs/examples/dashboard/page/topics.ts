/**
 * What has been received, by topic. Everything is bounded: the page may be left open before a
 * broker that is busy.
 */

/** How many topics are kept; messages of others are only counted. */
export const TOPICS_MAX = 5000
const VALUES_MAX = 240
const RECENT_MAX = 12
/** Of a longer payload only the beginning is kept. */
const TEXT_BYTES_MAX = 16_384
const RATE_SECONDS = 10

/** What is used of a message. */
export interface Received {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: number
  readonly retain: boolean
}

export interface Point {
  /** In ms since 1970. */
  readonly at: number
  readonly value: number
}

export interface Entry {
  readonly topic: string
  text: string
  kind: 'number' | 'json' | 'text' | 'bytes' | 'empty'
  bytes: number
  qos: number
  retain: boolean
  count: number
  lastAt: number
  rate: Rate
  /** What can be drawn: numbers, switches, and the first number of a JSON object. */
  points: Point[]
  /** Which field of the object is drawn; empty if the payload is the number. */
  field: string
  recent: { readonly at: number; readonly text: string }[]
}

/** A level of a topic. */
export interface Level {
  readonly name: string
  readonly path: string
  readonly children: Map<string, Level>
  entry: Entry | null
  /** How many topics are here and below. */
  topics: number
  /** Messages here and below. */
  rate: Rate
  lastAt: number
}

/** How many messages came in each of the last seconds. */
export class Rate {
  readonly #counts = new Uint32Array(RATE_SECONDS + 1)
  #second = 0
  #since = 0

  add(now: number): void {
    if (this.#since === 0) this.#since = now
    this.#forward(now)
    this.#counts[this.#second % this.#counts.length]!++
  }

  /** @returns messages a second, of the seconds that are complete. */
  of(now: number): number {
    if (this.#since === 0) return 0
    this.#forward(now)
    let sum = 0
    for (const count of this.#counts) sum += count
    const seconds = Math.min(RATE_SECONDS, Math.max(1, (now - this.#since) / 1000))
    return sum / seconds
  }

  #forward(now: number): void {
    const second = Math.floor(now / 1000)
    const from = Math.max(this.#second + 1, second - this.#counts.length + 1)
    for (let each = from; each <= second; each++) this.#counts[each % this.#counts.length] = 0
    this.#second = Math.max(this.#second, second)
  }
}

const level = (name: string, path: string): Level => ({
  ...{ name, path, children: new Map(), entry: null, topics: 0, rate: new Rate(), lastAt: 0 },
})

export class Topics {
  readonly root = level('', '')
  /** Messages of topics beyond `TOPICS_MAX`. */
  unkept = 0
  received = 0

  receive(message: Received, now: number): void {
    this.received++
    const { topic } = message
    const path = this.#levelsOf(topic)
    if (path === null) {
      this.unkept++
      this.root.rate.add(now)
      return
    }
    const last = path.at(-1)!
    last.entry ??= this.#add(topic, path)
    for (const each of path) {
      each.rate.add(now)
      each.lastAt = now
    }
    note(last.entry, message, now)
  }

  entryOf(topic: string): Entry | null {
    let at: Level | undefined = this.root
    for (const name of topic.split('/')) at = at?.children.get(name)
    return at?.entry ?? null
  }

  /** @returns the levels of a topic, the root first; null if it would be one too many. */
  #levelsOf(topic: string): Level[] | null {
    const names = topic.split('/')
    const found: Level[] = [this.root]
    const isFull = this.root.topics >= TOPICS_MAX
    if (isFull && this.entryOf(topic) === null) return null
    for (const name of names) {
      const { children, path } = found.at(-1)!
      let child = children.get(name)
      if (child === undefined) {
        child = level(name, found.length === 1 ? name : `${path}/${name}`)
        children.set(name, child)
      }
      found.push(child)
    }
    return found
  }

  #add(topic: string, path: readonly Level[]): Entry {
    for (const each of path) each.topics++
    return {
      ...{ topic, text: '', kind: 'empty', bytes: 0, qos: 0, retain: false, count: 0, lastAt: 0 },
      ...{ rate: path.at(-1)!.rate, points: [], field: '', recent: [] },
    }
  }
}

function note(entry: Entry, { payload, qos, retain }: Received, now: number): void {
  const { text, kind } = read(payload)
  Object.assign(entry, { text, kind, qos, retain, bytes: payload.length, lastAt: now })
  entry.count++
  entry.recent.unshift({ at: now, text })
  entry.recent.length = Math.min(entry.recent.length, RECENT_MAX)
  const drawn = drawable(text, kind)
  if (drawn === null) return
  entry.field = drawn.field
  entry.points.push({ at: now, value: drawn.value })
  if (entry.points.length > VALUES_MAX) entry.points.shift()
}

function read(payload: Uint8Array): Pick<Entry, 'text' | 'kind'> {
  if (payload.length === 0) return { text: '', kind: 'empty' }
  const kept = payload.subarray(0, TEXT_BYTES_MAX)
  let text: string
  try {
    // With `stream` a character that the end of `kept` cuts is no mistake.
    text = new TextDecoder('utf-8', { fatal: true }).decode(kept, { stream: kept !== payload })
  } catch {
    const hex = Array.from(payload.subarray(0, 64), (byte) => byte.toString(16).padStart(2, '0'))
    return { text: hex.join(' '), kind: 'bytes' }
  }
  if (text.trim() !== '' && Number.isFinite(Number(text))) return { text, kind: 'number' }
  return { text, kind: /^\s*[[{]/.test(text) && isJson(text) ? 'json' : 'text' }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const SWITCHES = new Map([
  ...['true', 'on', 'open', 'online'].map((text) => [text, 1] as const),
  ...['false', 'off', 'closed', 'offline'].map((text) => [text, 0] as const),
])

function drawable(text: string, kind: Entry['kind']): { value: number; field: string } | null {
  if (kind === 'number') return { value: Number(text), field: '' }
  if (kind === 'text') {
    const value = SWITCHES.get(text.toLowerCase())
    return value === undefined ? null : { value, field: '' }
  }
  if (kind !== 'json') return null
  for (const [field, value] of Object.entries(JSON.parse(text) as object)) {
    if (typeof value === 'number') return { value, field }
  }
  return null
}

/** A row of the tree as it is shown. */
export interface Row {
  readonly level: Level
  readonly depth: number
  readonly isOpen: boolean
}

/**
 * @param closed the paths of levels that were closed by hand.
 * @param wanted shows only topics that have this text in them, with everything open.
 * @returns the rows from top to bottom, by name.
 */
export function rowsOf(root: Level, closed: ReadonlySet<string>, wanted: string): readonly Row[] {
  const rows: Row[] = []
  const search = wanted.trim().toLowerCase()
  const add = (parent: Level, depth: number): void => {
    for (const child of [...parent.children.values()].sort(byName)) {
      if (search !== '' && !holds(child, search)) continue
      const isOpen = search !== '' || !closed.has(child.path)
      rows.push({ level: child, depth, isOpen })
      if (isOpen) add(child, depth + 1)
    }
  }
  add(root, 0)
  return rows
}

const collator = new Intl.Collator('en', { numeric: true })
const byName = (a: Level, b: Level): number => collator.compare(a.name, b.name)

function holds({ path, children }: Level, search: string): boolean {
  if (path.toLowerCase().includes(search)) return true
  return [...children.values()].some((child) => holds(child, search))
}
