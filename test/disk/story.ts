/**
 * Sessions as they come about: those that a simulated world saves.
 */
import * as engine from '../../src/index.ts'
import type { Session } from '../../src/requests/session.ts'
import type { HeldRecord } from '../../src/requests/session-records.ts'
import { scenarioOf } from '../simulation/scenario.ts'
import { simulate } from '../simulation/world.ts'

/** Without what depends on the order in which tables were filled. */
export function contentOf(session: Session | null) {
  if (session === null) return null
  const { received, settling, subscriptions, held, ...rest } = JSON.parse(
    engine.encodeSession(session).split('\n')[1]!,
  )
  const sorted = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one)).sort()
  return {
    ...rest,
    // The wall clock goes on while the loop's stands still.
    held: held.map((one: HeldRecord) => ({ ...one, expiresAt: one.expiresAt > 0 })),
    received: sorted(received),
    settling: sorted(settling),
    subscriptions: sorted(subscriptions),
  }
}

/** What a world saves and when it loads, in its order. */
export async function storyOf(seed: number): Promise<(Session | 'load')[]> {
  const story: (Session | 'load')[] = []
  const { setup, ...rest } = scenarioOf(seed)
  await simulate(
    { ...rest, setup: { ...setup, memory: 'store' } },
    {
      ...engine,
      encodeSession: (session) => {
        story.push(session)
        return engine.encodeSession(session)
      },
      decodeSession: (text) => {
        story.push('load')
        return engine.decodeSession(text)
      },
    },
  )
  return story
}

/** Those of the longest life among some worlds. */
export async function longLife(): Promise<Session[]> {
  let longest: Session[] = []
  for (let seed = 1; seed <= 12; seed++) {
    const story = await storyOf(seed)
    const end = story.indexOf('load')
    const life = story.slice(0, end < 0 ? undefined : end) as Session[]
    if (life.length > longest.length) longest = life
  }
  return longest
}
