import { expect, test } from 'vitest'
import type { Effect } from '../../src/protocol/contract.ts'
import {
  dependsOnCommit,
  EFFECTS,
  isAfterEnd,
  isAfterFailedCommit,
  needsConnection,
} from '../../src/protocol/effects.ts'

const publish = { handle: 1, messageId: 1, dup: false, expirySeconds: 0 }

test.each([
  [{ type: 'publish', ...publish, qos: 0 }, false],
  [{ type: 'publish', ...publish, qos: 1 }, true],
  [{ type: 'publish', ...publish, qos: 2 }, true],
  [{ type: 'acknowledge', cmd: 'pubrec', messageId: 1, reasonCode: 0 }, true],
  [{ type: 'finished', failure: null }, true],
  [{ type: 'pingreq' }, false],
  [{ type: 'disconnect', reasonCode: 0, properties: undefined }, false],
  [{ type: 'dial' }, false],
] as [Effect, boolean][])('%o depends on a commit: %s', (effect, depends) => {
  expect(dependsOnCommit(effect)).toBe(depends)
})

test.each([
  [
    'is a packet',
    ({ type }: Effect) => EFFECTS[type].packet,
    'connect publish subscribe unsubscribe acknowledge pingreq auth disconnect',
  ],
  ['depends on a commit', dependsOnCommit, 'finished publish acknowledge settle births yield'],
  ['needs its connection', needsConnection, 'publish acknowledge'],
  ['is performed after the end', isAfterEnd, 'settle'],
  ['is performed after a failed commit', isAfterFailedCommit, 'finished'],
] as const)('which effect %s', (_, question, expected) => {
  const types = Object.keys(EFFECTS) as Effect['type'][]
  // The publish has QoS 1.
  const those = types.filter((type) => question({ type, qos: 1 } as Effect))
  expect(those.join(' ')).toBe(expected)
})
