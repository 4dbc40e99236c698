import { expect, test } from 'vitest'
import type { Effect } from '../../src/protocol/contract.ts'
import { restsOnSession } from '../../src/protocol/effects.ts'

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
] as [Effect, boolean][])('%o rests on the session: %s', (effect, rests) => {
  expect(restsOnSession(effect)).toBe(rests)
})
