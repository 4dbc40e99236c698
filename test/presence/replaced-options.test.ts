/** Options that were changed in what withPresence() returned. */
import { expect, test } from 'vitest'
import type { ClientOptions } from '../../src/client/index.ts'
import { UsageError } from '../../src/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { PresenceWorld } from './presence-world.ts'

const mine = () => []
const own = { will: { topic: 'mine', payload: '' } }
const REPLACED: readonly (readonly [string, ClientOptions, ClientOptions])[] = [
  ['onConnected', {}, { onConnected: mine }],
  ['onConnected', { onConnected: mine }, { onConnected: mine }],
  ['connectOptions', {}, { connectOptions: () => ({ username: 'ada' }) }],
  ['will', {}, own],
  ['will', own, { will: { topic: 'another', payload: '' } }],
]

test.each(REPLACED)(
  '[H2] [H4] %s that replaces what withPresence() made is refused',
  (name, before, after) => {
    const world = new PresenceWorld()
    const client = world.client({ ...withPresence({ ...before, platform: world.clock }), ...after })
    expect(() => presence(client, 'room')).toThrow(UsageError)
    expect(() => presence(client, 'room')).toThrow(`${name} was replaced after withPresence()`)
  },
)

test('[H2] [H4] parts of two withPresence() are refused, and other options may be replaced', () => {
  const world = new PresenceWorld()
  const [one, other] = [1, 2].map(() => withPresence({ platform: world.clock, ...own }))
  const mixed = world.client({ ...one, onConnected: other!.onConnected! })
  expect(() => presence(mixed, 'room')).toThrow('onConnected was replaced')
  const client = world.client({ ...one, clientId: 'ada', keepAlive: 7, will: own.will })
  expect(presence(client, 'room').space).toBe('room')
})
