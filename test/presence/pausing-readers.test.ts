/** Who reads with pauses, and whether leases end for it all the same. (H2) */
import { describe, expect, test } from 'vitest'
import { presence } from '../../src/presence/index.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

const TTL = 20

/** A broker that publishes no wills, and a member whose link will be lost for good. */
async function worldWithGhost() {
  const world = new PresenceWorld(5, { willPublished: false })
  await world.entered('ghost', 1, { ttl: TTL }, { reconnect: { when: 'never' } })
  const { room: busy } = await world.entered('busy', 2, { ttl: TTL })
  return { world, busy }
}

describe('a lease ends', () => {
  test.each([1, 100])(
    '[H2] for who reads nothing for %d ms after each of many changes',
    async (pauseMs) => {
      const { world, busy } = await worldWithGhost()
      const room = presence(world.client(), 'room')
      const seen: string[] = []
      void (async () => {
        for await (const { action, member } of room.changes()) {
          seen.push(`${action} ${member.client}`)
          await new Promise<void>((resolve) => world.clock.setTimer(resolve, pauseMs))
        }
      })().catch(() => {})
      await world.clock.advance(SYNC_MS * 4)
      expect(seen).toContain('present ghost')
      world.broker.kill('ghost')
      for (let ms = 0; ms <= TTL * 1000 + 2000; ms += 500) {
        busy.update(ms).catch(() => {})
        await world.clock.advance(500)
      }
      expect(seen).toContain('lost ghost')
    },
  )

  test('[H2] for who asks for the list now and then, and reads nothing else', async () => {
    const { world } = await worldWithGhost()
    const room = presence(world.client(), 'room')
    const list = async () => shown(await world.value(room.get(), SYNC_MS))
    expect(await list()).toEqual(['busy 2', 'ghost 1'])
    world.broker.kill('ghost')
    for (let ms = 0; ms <= TTL * 1000 + 2000; ms += 4000) {
      await world.clock.advance(4000)
      await list()
    }
    expect(await list()).toEqual(['busy 2'])
  })
})
