/**
 * How does the screen of `presence` live? It is drawn a few times a second, if something has
 * changed: a row for each member, and the last change below.
 */
import type { Member, PresenceChange } from '../../presence/index.ts'
import { counted, oneLine } from '../fail.ts'
import { connectionText } from '../top/connection-text.ts'
import { fitted } from '../top/safe-text.ts'
import type { KeyPress } from '../top/screen-state.ts'
import { Terminal } from '../top/terminal.ts'
import { changeText, dataText } from './space-lines.ts'
import { type PresenceFlags, SpaceVisit } from './space-visit.ts'

/** The time between two looks at whether something has changed, in ms. */
const DRAW_MS = 200
/** Head, titles of columns, and last line. */
const OTHER_LINES = 3
/** So many digits tell connections apart well enough. */
const CONNECTION_DIGITS = 8
const NAME_COLUMNS_MAX = 32

/** @returns the exit status. */
export async function showSpace(name: string, flags: PresenceFlags): Promise<number> {
  const screen = new SpaceScreen(name, flags)
  try {
    return await screen.run()
  } finally {
    screen.close()
  }
}

class SpaceScreen {
  readonly #visit: SpaceVisit
  readonly #terminal: Terminal
  /** When members came, as this machine's clock shows it, by connection and name. */
  readonly #since = new Map<string, string>()
  #members: readonly Member[] = []
  #note = 'q ends'
  #hasNews = true
  #connection = ''
  #timer: NodeJS.Timeout | undefined

  constructor(name: string, flags: PresenceFlags) {
    this.#visit = new SpaceVisit(name, flags, ({ message }) => this.#say(oneLine(message)))
    this.#terminal = new Terminal({
      key: (key) => this.#press(key),
      resized: () => this.#draw(),
      ended: () => this.#visit.end(),
    })
  }

  async run(): Promise<number> {
    this.#terminal.open()
    this.#draw()
    this.#timer = setInterval(() => void this.#drawIfNew(), DRAW_MS)
    return this.#visit.during(async () => {
      for await (const change of this.#visit.space.changes()) this.#changed(change)
    })
  }

  close(): void {
    clearInterval(this.#timer)
    this.#terminal.close()
  }

  #changed(change: PresenceChange): void {
    const { action, member } = change
    if (action === 'enter')
      this.#since.set(memberKey(member), new Date().toTimeString().slice(0, 8))
    if (action === 'leave' || action === 'lost') this.#since.delete(memberKey(member))
    if (action === 'present') this.#hasNews = true
    else this.#say(changeText(change))
  }

  #say(note: string): void {
    this.#note = note
    this.#hasNews = true
  }

  #press({ name, ctrl }: KeyPress): void {
    if (ctrl && name === 'c') process.kill(process.pid, 'SIGINT')
    else if (ctrl && name === 'z') this.#terminal.stop()
    else if (ctrl && name === 'l') this.#terminal.redraw()
    else if (name === 'q') this.#visit.end()
  }

  async #drawIfNew(): Promise<void> {
    if (!this.#hasNews && this.#connection === this.#connectionText()) return
    this.#hasNews = false
    const { space } = this.#visit
    // What is known, whether or not there is a connection. At the end the list stays as it was.
    this.#members = await space.get({ waitForSync: false }).catch(() => this.#members)
    this.#draw()
  }

  #connectionText(): string {
    const { client, space } = this.#visit
    const text = connectionText(client.state, performance.now())
    return space.state.status === 'syncing' ? `${text}, members are still coming` : text
  }

  #draw(): void {
    this.#connection = this.#connectionText()
    const { columns, height } = this.#terminal
    const { space } = this.#visit
    const members = this.#members
    const room = Math.max(0, height - OTHER_LINES)
    const unseen = members.length - room
    const shown = members.slice(0, unseen > 0 ? room - 1 : room)
    const count = counted(members.length, 'member')
    const lines = [
      `it-mqtt presence  ${space.space}  ${count}  ${this.#connection}`,
      rowText('client', 'since', 'connection', 'data', columns),
      ...shown.map((member) => this.#row(member, columns)),
      ...(unseen > 0 ? [`… and ${counted(members.length - shown.length, 'other')}`] : []),
      this.#note,
    ]
    this.#terminal.draw(lines.slice(0, height).map((line) => fitted(line, columns)))
  }

  #row(member: Member, columns: number): string {
    const { client, connection, data, certainty } = member
    const since = this.#since.get(memberKey(member)) ?? 'before'
    const how = certainty === 'seen' ? '' : `(${certainty}) `
    const digits = connection.slice(0, CONNECTION_DIGITS)
    return rowText(client, since, digits, `${how}${dataText(data)}`, columns)
  }
}

function rowText(
  client: string,
  since: string,
  connection: string,
  data: string,
  columns: number,
): string {
  const name = fitted(client, Math.min(NAME_COLUMNS_MAX, Math.floor(columns / 3)))
  return `${name}  ${fitted(since, 8)}  ${fitted(connection, 10)}  ${data}`
}

function memberKey({ client, connection }: Member): string {
  return `${connection} ${client}`
}
