/**
 * What does `presence` write without a screen? A line for each change, or who is there.
 */
import { hostOf } from '../../client/index.ts'
import { MqttError } from '../../index.ts'
import type { Member, PresenceChange, PresenceSynced } from '../../presence/index.ts'
import { ConnectionFollower } from '../follow-connection.ts'
import { abandonOutput, write } from '../output.ts'
import { type PresenceFlags, SpaceVisit } from './space-visit.ts'

/** The end of a sync: all who are there have been written. */
interface SyncEnd extends PresenceSynced {
  readonly action: 'synced'
  /** How many are there. */
  readonly members: number
}

/** @returns the exit status. */
export async function writeSpace(name: string, flags: PresenceFlags): Promise<number> {
  const follower = new ConnectionFollower(flags.quiet === true)
  // A reader that has stalled must not keep the command from leaving.
  const visit = new SpaceVisit(name, flags, follower.warned, abandonOutput)
  follower.follow(visit.client)
  hostOf(visit.client).onConnected((sessionPresent) => follower.accepted({ sessionPresent }))
  return visit.during(async () => {
    if (!flags.once) return writeNews(visit, flags.json === true)
    for (const member of await membersOf(visit)) {
      await write(flags.json ? `${escaped(JSON.stringify(member))}\n` : `${memberText(member)}\n`)
    }
  })
}

/** A connection that is lost meanwhile is waited for again. */
async function membersOf({ client, space }: SpaceVisit): Promise<readonly Member[]> {
  for (;;) {
    try {
      return await space.get()
    } catch (error) {
      if (!(error instanceof MqttError) || error.code !== 'NOT_SYNCED') throw error
      await client.ready()
    }
  }
}

async function writeNews(visit: SpaceVisit, isJson: boolean): Promise<void> {
  for await (const news of newsOf(visit)) {
    if (isJson) await write(`${escaped(JSON.stringify(flat(news)))}\n`)
    else if (news.action !== 'synced') await write(`${changeText(news)}\n`)
  }
}

function flat(news: PresenceChange | SyncEnd): object {
  return news.action === 'synced' ? news : { action: news.action, ...news.member }
}

/** Yields changes, and the end of each sync behind the changes that came before it. */
async function* newsOf(visit: SpaceVisit): AsyncGenerator<PresenceChange | SyncEnd, undefined> {
  const changes = visit.space.changes()
  let sync: SyncEnd | null = null
  let wake = () => {}
  const watching = eachSync(visit, (end) => {
    sync = end
    wake()
  })
  // A queue of transitions that overflows ends the lines about syncs, and not the command.
  watching.catch(() => {})
  let next = changes.next()
  for (;;) {
    const result = await new Promise<Awaited<typeof next> | null>((resolve, reject) => {
      next.then(resolve, reject)
      // Later than a change that is there already.
      wake = () => void setImmediate(() => resolve(null))
      if (sync !== null) wake()
    })
    if (result?.done) return
    if (result !== null) {
      yield result.value
      next = changes.next()
    } else if (sync !== null) {
      const end: SyncEnd = sync
      sync = null
      yield end
    }
  }
}

/** Each connection has a sync of its own. */
async function eachSync(
  { client, space }: SpaceVisit,
  tell: (end: SyncEnd) => void,
): Promise<void> {
  const sync = async () => {
    // A connection that is lost meanwhile has no end of its sync.
    const synced = await space.synced.catch(() => null)
    if (synced === null) return
    tell({ action: 'synced', members: space.state.members, certainty: synced.certainty })
  }
  const transitions = client.transitions()
  await sync()
  for await (const { to } of transitions) if (to === 'connected') await sync()
}

/** @returns a change as a line for people. */
export function changeText({ action, member }: PresenceChange): string {
  return `${action} ${memberText(member)}`
}

function memberText({ client, data, certainty }: Member): string {
  const name = /^[^\s"]+$/u.test(client) ? client : JSON.stringify(client)
  const how = certainty === 'seen' ? '' : `(${certainty})`
  return escaped([name, dataText(data), how].filter((word) => word !== '').join(' '))
}

/** @returns the data of a member as JSON; an empty text if it has none. */
export function dataText(data: unknown): string {
  return data === undefined ? '' : JSON.stringify(data)
}

/** What a terminal would obey stands there as JSON writes it; others choose names and data. */
function escaped(line: string): string {
  return line.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
