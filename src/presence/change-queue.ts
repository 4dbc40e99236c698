/**
 * What has a reader of changes not taken yet? All changes, as long as they are few; then the net
 * change of each member: what has to be told so that the reader knows what is so now. A pure queue.
 */
import type { PresenceChange } from './presence-types.ts'

/** How many changes wait before they are joined. */
const CHANGES_MAX = 1024

export class ChangeQueue {
  #changes: PresenceChange[] = []
  /** How many of them were taken. */
  #taken = 0
  /** Beyond so many they are joined. */
  #limit = CHANGES_MAX

  get length(): number {
    return this.#changes.length - this.#taken
  }

  push(change: PresenceChange): void {
    this.#changes.push(change)
    if (this.length <= this.#limit) return
    this.#changes = netChanges(this.#changes.slice(this.#taken))
    this.#taken = 0
    // Each joining is paid for by as many changes as it has left.
    this.#limit = Math.max(CHANGES_MAX, 2 * this.length)
  }

  shift(): PresenceChange | undefined {
    const change = this.#changes[this.#taken]
    if (change === undefined) return undefined
    this.#taken++
    if (this.#taken === this.#changes.length) {
      this.#changes = []
      this.#taken = 0
      this.#limit = CHANGES_MAX
    } else if (this.#taken >= CHANGES_MAX && this.#taken * 2 > this.#changes.length) {
      this.#changes = this.#changes.slice(this.#taken)
      this.#taken = 0
    }
    return change
  }

  clear(): void {
    this.#changes = []
    this.#taken = 0
  }
}

/**
 * @returns one change for each member at most, in the order of the last ones. A reader who applies
 *   them knows the same as after all of `changes`.
 */
function netChanges(changes: readonly PresenceChange[]): PresenceChange[] {
  const byMember = new Map<string, { readonly first: PresenceChange; last: PresenceChange }>()
  for (const change of changes) {
    const { client, connection } = change.member
    const key = `${connection}/${client}`
    const before = byMember.get(key)
    byMember.delete(key)
    byMember.set(key, { first: before?.first ?? change, last: change })
  }
  const net: PresenceChange[] = []
  for (const { first, last } of byMember.values()) {
    const wasThere = !isArrival(first)
    const isThere = last.action !== 'leave' && last.action !== 'lost'
    if (!wasThere && !isThere) continue
    if (!isThere) net.push(last)
    else
      net.push(
        changeOf(wasThere ? 'update' : last.action === 'update' ? first.action : last.action, last),
      )
  }
  return net
}

function isArrival({ action }: PresenceChange): boolean {
  return action === 'present' || action === 'enter'
}

function changeOf(action: PresenceChange['action'], { member }: PresenceChange): PresenceChange {
  return Object.freeze({ action, member })
}
