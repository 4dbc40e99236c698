/**
 * Which rooms does src/ have, and which may import which? A room is an entry at the top of src/: a
 * folder or a file. Imports of types count as any other: a reader has to follow them too.
 */
import type { Source } from './sources.ts'
import type { Violation } from './violation.ts'

/** How many rooms of the engine a reader can keep in mind when src/ is opened. */
const ROOMS_MAX = 12

/** How many layers above the engine there may be; each is learned by itself. */
const LAYERS_MAX = 6

/**
 * The rooms above the engine. They import public entries only, so that whoever reads the engine
 * need not open them; therefore they are counted apart.
 */
export const LAYERS: readonly string[] = [
  ...['client', 'testing', 'bus', 'presence', 'event-stream', 'doctor'],
]

/**
 * Folders inside of a layer that are rooms of their own: the layer does not import them, and of the
 * layer they import the public entry only.
 */
export const INNER_ROOMS: readonly string[] = ['bus/testing']

const GROUND = ['errors.ts', 'error-codes.ts', 'platform', 'protocol', 'codec', 'requests'] as const

/**
 * What each room may import beside itself: rooms, or single files of them. The table is total: a
 * new entry at the top of src/ fails the test until it stands here and in docs/ARCHITECTURE.md.
 */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'error-codes.ts': [],
  'errors.ts': ['error-codes.ts'],
  platform: ['errors.ts'],
  protocol: ['errors.ts'],
  codec: ['errors.ts', 'platform', 'protocol'],
  requests: ['errors.ts', 'platform', 'protocol', 'codec'],
  options: GROUND,
  disk: GROUND,
  connection: [...GROUND, 'options'],
  loop: [...GROUND, 'options', 'connection'],
  'index.ts': [...GROUND, 'options', 'connection', 'loop'],
  client: ['index.ts'],
  'event-stream': ['errors.ts', 'index.ts', 'client/index.ts'],
  doctor: ['index.ts'],
  presence: ['index.ts', 'client/index.ts'],
  bus: ['index.ts', 'client/index.ts', 'presence/index.ts'],
  'bus/testing': ['index.ts', 'client/index.ts', 'bus/index.ts', 'testing/index.ts'],
  testing: ['errors.ts', 'platform', 'protocol', 'codec', 'index.ts'],
  cli: [
    ...['index.ts', 'disk/index.ts', 'doctor/index.ts', 'client/index.ts', 'presence/index.ts'],
    'bus/index.ts',
  ],
}

/** @returns the entry at the top of src/ that a path belongs to, or the room inside of a layer. */
export function roomOf(path: string): string {
  return INNER_ROOMS.find((room) => isWithin(path, room)) ?? path.split('/')[1]!
}

function isWithin(path: string, entry: string): boolean {
  return path === `src/${entry}` || path.startsWith(`src/${entry}/`)
}

/** Rule: imports go one way. */
export function wrongArrows(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, imports }) => {
    const room = roomOf(path)
    const allowed = ARROWS[room] ?? []
    return imports
      .filter(({ target }) => target.startsWith('src/'))
      .filter(({ target }) => roomOf(target) !== room)
      .filter(({ target }) => !allowed.some((entry) => isWithin(target, entry)))
      .map(({ target, name, line }) => ({
        key: `${path} imports ${target}`,
        path,
        line,
        problem: `${room} may not import ${target} (${name})`,
        remedy: `Move it to a room that ${room} may import: ${allowed.join(', ') || 'none'}`,
      }))
  })
}

/** Rule: no file is reached by following its own imports. */
export function cycles(sources: readonly Source[]): readonly Violation[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  return sources.flatMap(({ path }) => {
    const way = wayBack(path, byPath)
    if (way === null) return []
    const line = byPath.get(path)!.imports.find(({ target }) => target === way[1])!.line
    return [
      {
        key: path,
        path,
        line,
        problem: `the file imports itself: ${way.join(' → ')}`,
        remedy: 'Move what both need to a file of its own, below both',
      },
    ]
  })
}

/** @returns the shortest chain of imports from a file to itself, or null if there is none. */
function wayBack(start: string, byPath: ReadonlyMap<string, Source>): readonly string[] | null {
  const seen = new Set<string>()
  let ways: readonly (readonly string[])[] = [[start]]
  while (ways.length > 0) {
    const longer: (readonly string[])[] = []
    for (const way of ways) {
      for (const { target } of byPath.get(way.at(-1)!)?.imports ?? []) {
        if (target === start) return [...way, start]
        if (!byPath.has(target) || seen.has(target)) continue
        seen.add(target)
        longer.push([...way, target])
      }
    }
    ways = longer
  }
  return null
}

/** Rule: a transport moves bytes and does not know what they mean. */
export function transportKnows(sources: readonly Source[]): readonly Violation[] {
  const inside = ['connection/transport', 'errors.ts', 'platform']
  return sources
    .filter(({ path }) => isWithin(path, 'connection/transport'))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target.startsWith('src/'))
        .filter(({ target }) => !inside.some((entry) => isWithin(target, entry)))
        .map(({ target, line }) => ({
          key: `${path} imports ${target}`,
          path,
          line,
          problem: `a transport imports ${target}`,
          remedy: `Declare in the transport what it needs; it may import ${inside.join(', ')}`,
        })),
    )
}

/** Rule: mqtt-packet is the oracle of the tests; src has packet types of its own. */
export function importsOracle(sources: readonly Source[]): readonly Violation[] {
  return sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => target === 'mqtt-packet')
      .map(({ name, line }) => ({
        key: path,
        path,
        line,
        problem: `src imports ${name} of mqtt-packet`,
        remedy: 'Use the packet types of src',
      })),
  )
}

/** One row of the table of rooms in docs/ARCHITECTURE.md. */
export interface Row {
  readonly room: string
  readonly question: string
  readonly imports: readonly string[]
  readonly line: number
}

/** @returns the rows `| src/room | question? | what it may import |` of a page. */
export function roomRows(page: string): readonly Row[] {
  return page.split('\n').flatMap((text, index) => {
    const cells = /^\| `src\/([^`]+?)\/?` \|([^|]*)\|([^|]*)\|$/.exec(text)
    if (cells === null) return []
    const imports = [...cells[3]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)
    return [{ room: cells[1]!, question: cells[2]!.trim(), imports, line: index + 1 }]
  })
}

/**
 * Rule: the rooms are few, and docs/ARCHITECTURE.md and the table above say the same about them.
 */
export function wrongRooms(entries: readonly string[], page: string): readonly Violation[] {
  const rows = new Map(roomRows(page).map((row) => [row.room, row]))
  const path = 'docs/ARCHITECTURE.md'
  const violation = (line: number, problem: string, remedy: string): Violation => ({
    key: problem,
    path,
    line,
    problem,
    remedy,
  })
  const found: Violation[] = []
  const layers = entries.filter((entry) => LAYERS.includes(entry))
  const inner = entries.filter((entry) => INNER_ROOMS.includes(entry))
  for (const [count, max, what] of [
    [entries.length - layers.length - inner.length, ROOMS_MAX, 'rooms of the engine'],
    [layers.length, LAYERS_MAX, 'layers'],
  ] as const) {
    if (count <= max) continue
    const remedy = `Merge until there are ${max}`
    found.push({ ...violation(1, `src/ has ${count} ${what}`, remedy), path: 'src' })
  }
  for (const entry of entries) {
    const row = rows.get(entry)
    const arrows = ARROWS[entry]
    if (row === undefined) {
      found.push(violation(1, `src/${entry} is not in the table`, 'Add a row with its question'))
    } else if (!row.question.includes('?')) {
      found.push(
        violation(row.line, `src/${entry} has no question`, 'Say which question it answers'),
      )
    }
    if (arrows === undefined) {
      found.push({
        ...violation(1, `src/${entry} has no arrows`, 'Add it to ARROWS'),
        path: 'test/support/tidy/rooms.ts',
      })
    } else if (row !== undefined && row.imports.join() !== arrows.join()) {
      const remedy = `Write ${arrows.map((name) => `\`${name}\``).join(' ')}, or change ARROWS`
      found.push(violation(row.line, `src/${entry} may import something else`, remedy))
    }
  }
  for (const { room, line } of rows.values()) {
    if (entries.includes(room)) continue
    found.push(violation(line, `src/${room} does not exist`, 'Remove the row'))
  }
  return found
}
