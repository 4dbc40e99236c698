/**
 * Goal: what programs observe on a fake bus is known, so that comparing it with real brokers means
 * something (B17; test/brokers/bus-programs.test.ts). Method: the programs of that test, in both
 * versions of MQTT, with and without Shared Subscriptions.
 */
import { describe, expect, test } from 'vitest'
import { type FakeKind, noteOnFake, PROGRAMS } from '../../support/bus-programs.ts'

const KINDS: readonly FakeKind[] = [
  { version: 5, shares: true, saysNobody: true, resendsInOrder: true },
  { version: 4, shares: true, saysNobody: false, resendsInOrder: true },
  { version: 5, shares: false, saysNobody: false, resendsInOrder: false },
  { version: 4, shares: false, saysNobody: false, resendsInOrder: false },
]

const stats = (received: number, handled: number, rest: object = {}) =>
  JSON.stringify({
    ...{ received, handled, running: 0, retried: 0, repeated: 0, skipped: 0, dead: 0, passed: 0 },
    ...rest,
  })

/** Without Shared Subscriptions an API is not served. */
const served = ({ shares }: FakeKind, lines: string[]) => (shares ? lines : ['not served'])

const EXPECTED: Readonly<Record<string, (kind: FakeKind) => string[]>> = {
  'a call': (kind) =>
    served(kind, [
      '{"age":36,"since":0}',
      'UsageError INVALID_INPUT',
      'RefusedError RESPONDER_FAILED',
    ]),
  'a declared error': (kind) =>
    served(kind, ['{"code":"LOCKED","data":{"minutes":5},"message":"too many tries"}']),
  'an rpc that is not there': (kind) => [
    ...served(kind, ['RefusedError UNKNOWN']),
    kind.saysNobody ? 'RefusedError NO_RESPONDERS' : 'ConnectionError TIMEOUT',
  ],
  'an event that nobody hears': ({ saysNobody }) => [`unheard: ${saysNobody}`],
  'an event that is handled again': () => [
    ...['a 7, attempt 1', 'a 7, attempt 2', 'a 7, attempt 3', 'b 7, attempt 1'],
    stats(2, 2, { retried: 2 }),
  ],
  'a dead letter': ({ version }) => [
    '/_dead/mailer/log/mails/sent {"to":"a","size":"7"}',
    version === 5 ? 'because of Error: no mail today' : 'without a reason',
    'handled b',
    '{"received":2,"handled":1,"count":1}',
  ],
  'an event that comes again after a crash': () => [
    ...['life 1: a, attempt 1', 'life 2: a, attempt 1', 'life 2: b, attempt 1', 'handled 2'],
  ],
  // Before MQTT 5 an event has no name, and is not recognized.
  'an event that a store knows': ({ version }) =>
    version === 5
      ? ['life 1: a, with a name', 'life 2: b, with a name', stats(2, 1, { repeated: 1 })]
      : [
          ...[1, 2].map((life) => `life ${life}: a, without a name`),
          ...['life 2: b, without a name', stats(2, 2)],
        ],
}

describe.each(KINDS)('MQTT $version, shared subscriptions: $shares', (kind) => {
  test.each(Object.entries(PROGRAMS))('[B17] %s', async (name, program) => {
    expect(await noteOnFake(program, kind)).toEqual(EXPECTED[name]!(kind))
  })
})
