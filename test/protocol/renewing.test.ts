/**
 * Goal: subscriptions are renewed where the server may have forgotten them, nothing is repeated
 * where it has not, and no SUBSCRIBE is larger than what the server takes. (D5, C13)
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import { initialSession } from '../../src/protocol/initial.ts'
import { lookup } from '../../src/protocol/packet-table.ts'
import type { SessionState } from '../../src/protocol/session-state.ts'
import {
  connackOf,
  Driver,
  messageOf,
  only,
  outcomes,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  unsubscribeOf,
  wire,
} from './support.ts'

type Version = 4 | 5

/** @returns a driver with a plain and a shared subscription, that was connected once. */
function subscribed(version: Version, config: Partial<Config> = {}, present = false): Driver {
  const driver = new Driver({ protocolVersion: version, ...config })
  driver.connect(connack(version, present))
  driver.request(subscribeOf(1, ['a']), subscribeOf(2, ['$share/g/b']))
  driver.receive(subackOf(1, 1), subackOf(2, 1))
  return driver
}

function connack(version: Version, present: boolean) {
  return version === 5 ? connackOf(present) : plainConnack(present)
}

/** @returns the filters of the SUBSCRIBE packets, with their Retain Handling. */
function renewed(effects: ReturnType<Driver['connect']>): string[] {
  return only(effects, 'subscribe').flatMap(({ facts }) =>
    facts.subscriptions.map(({ topic, rh }) => (rh ? `${topic} rh${rh}` : topic)),
  )
}

/** Answers the SUBSCRIBE packets of the last connection that are open. */
function answerRenewals(driver: Driver): void {
  const open = only(driver.effects, 'subscribe').filter(({ messageId }) =>
    lookup(driver.state.session.open, messageId),
  )
  const ids = new Map(open.map(({ messageId, facts }) => [messageId, facts.subscriptions]))
  for (const [id, filters] of ids) driver.receive(subackOf(id, ...filters.map(() => 1)))
}

function again(driver: Driver, version: Version, present: boolean): string[] {
  driver.lose()
  return renewed(driver.connect(connack(version, present)))
}

describe('[D5] [C13] what is renewed', () => {
  const all = ['a', '$share/g/b']
  const quiet = ['a rh1', '$share/g/b rh1']
  const table: [Version, Config['renewSubscriptions'], boolean, string[]][] = [
    [5, 'lost', false, all],
    [5, 'unsure', false, all],
    [5, 'always', false, all],
    [5, 'lost', true, []],
    [5, 'unsure', true, quiet],
    [5, 'always', true, quiet],
    [4, 'lost', false, all],
    [4, 'unsure', false, all],
    [4, 'always', false, all],
    [4, 'lost', true, []],
    [4, 'unsure', true, ['$share/g/b']],
    [4, 'always', true, all],
  ]
  test.each(table)(
    'version %s, %s, Session Present %s: %s',
    (version, renew, present, expected) => {
      const driver = subscribed(version, { renewSubscriptions: renew })
      expect(again(driver, version, present)).toEqual(expected)
    },
  )

  test('once for each connection, however often it is lost', () => {
    const driver = subscribed(5)
    for (let i = 0; i < 5; i++) {
      expect(again(driver, 5, true)).toEqual(quiet)
      answerRenewals(driver)
    }
  })

  test('the Retain Handling that was asked for stays if it is above 0', () => {
    const driver = new Driver()
    driver.connect(connackOf(false))
    driver.request(subscribeOf(1, [{ topic: 'a', qos: 1, rh: 2 }]))
    driver.receive(subackOf(1, 1))
    expect(again(driver, 5, true)).toEqual(['a rh2'])
  })

  test('a server that sent a message again was seen to keep sessions: shared ones only', () => {
    const driver = subscribed(5)
    again(driver, 5, true)
    answerRenewals(driver)
    driver.receive(messageOf(1, 7, { dup: true }))
    expect(again(driver, 5, true)).toEqual(['$share/g/b rh1'])
    answerRenewals(driver)
    // A new session ends the confidence.
    expect(again(driver, 5, false)).toEqual(all)
    answerRenewals(driver)
    expect(again(driver, 5, true)).toEqual(quiet)
  })

  test('without a connection that was resumed, DUP proves nothing', () => {
    const driver = subscribed(5)
    driver.receive(messageOf(1, 7, { dup: true }))
    expect(again(driver, 5, true)).toEqual(quiet)
  })

  test.each([4, 5] as const)(
    'version %s: a server that says 1 to a new client identifier may always say it',
    (version) => {
      const driver = subscribed(version, { generatedClientId: true, resumes: false }, true)
      const expected = version === 5 ? quiet : all
      expect(again(driver, version, true)).toEqual(expected)
      driver.receive(messageOf(1, 7, { dup: true }))
      expect(again(driver, version, true)).toEqual(expected)
    },
  )

  test('a saved session of an earlier process: what it holds, at the first connection', () => {
    const earlier = subscribed(5)
    earlier.lose()
    const driver = new Driver({}, earlier.state.session)
    expect(renewed(driver.connect(connackOf(true)))).toEqual(quiet)
  })
})

describe('[D5] a resumed session of MQTT 3 that is silent', () => {
  function resumed(receivedBefore: boolean, config: Partial<Config> = {}): Driver {
    const driver = subscribed(4, config)
    if (receivedBefore) driver.receive(messageOf(0))
    driver.lose()
    const answered = only(driver.connect(plainConnack(true)), 'subscribe')
    driver.receive(...answered.map(({ messageId }) => subackOf(messageId, 1)))
    return driver
  }

  test('for ten seconds, after messages had come: renewed, once', () => {
    const driver = resumed(true)
    expect(renewed(driver.advance(9_999))).toEqual([])
    expect(renewed(driver.advance(1))).toEqual(['a'])
    expect(renewed(driver.advance(100_000))).toEqual([])
  })

  test('a message in time: not renewed', () => {
    const driver = resumed(true)
    driver.receive(messageOf(0))
    expect(renewed(driver.advance(100_000))).toEqual([])
  })

  test('no message ever came: not renewed', () => {
    expect(renewed(resumed(false).advance(100_000))).toEqual([])
  })

  test("renewSubscriptions: 'lost': not renewed", () => {
    const driver = resumed(true, { renewSubscriptions: 'lost' })
    expect(renewed(driver.advance(100_000))).toEqual([])
  })

  test('a session that was adopted: no server ever said that there is none, so silence suffices', () => {
    const driver = subscribed(4, { resumes: false, cleanStart: false }, true)
    again(driver, 4, true)
    expect(renewed(driver.advance(10_000))).toEqual(['a'])
  })
})

describe('[D5] how many filters a renewal has', () => {
  /** @returns a driver that is subscribed with packets of these sizes. */
  function subscribedBy(sizes: readonly number[], config: Partial<Config> = {}): Driver {
    const driver = new Driver(config)
    driver.connect(connackOf(false))
    sizes.forEach((size, i) => {
      const topics = Array.from({ length: size }, (_, n) => `${i}/${n}`)
      const sent = only(driver.request(subscribeOf(i + 1, topics)), 'subscribe')
      answerAll(driver, sent)
    })
    return driver
  }

  function answerAll(driver: Driver, sent: ReturnType<typeof subscribes>): void {
    for (const { messageId, facts } of sent) {
      const more = driver.receive(subackOf(messageId, ...facts.subscriptions.map(() => 1)))
      answerAll(driver, only(more, 'subscribe'))
    }
  }

  function subscribes(effects: ReturnType<Driver['connect']>) {
    return only(effects, 'subscribe')
  }

  const sizesOf = (effects: ReturnType<Driver['connect']>) =>
    subscribes(effects).map(({ facts }) => facts.subscriptions.length)

  test.each([
    [Array(25).fill(1), null, Array(25).fill(1)],
    [[3, 1, 1, 1, 1], null, [3, 3, 1]],
    [[25], null, [25]],
    [Array(25).fill(1), 10, [10, 10, 5]],
    [[3, 3], 2, [2, 2, 2]],
  ])('%s, filtersPerSubscribe %s: %s', (sizes, filtersPerSubscribe, expected) => {
    const driver = subscribedBy(sizes, { filtersPerSubscribe })
    driver.lose()
    expect(sizesOf(driver.connect(connackOf(false)))).toEqual(expected)
  })

  test('a server that closes on more than eight filters: halved, then one by one', () => {
    const driver = subscribedBy([25])
    const tried: number[] = []
    driver.lose({ byPeer: true })
    let effects = driver.connect(connackOf(false))
    const isDone = ({ open, cautious }: SessionState) => open.size === 0 && !cautious
    for (let i = 0; i < 200 && !isDone(driver.state.session); i++) {
      if (only(effects, 'pingreq').length > 0) {
        effects = driver.receive({ cmd: 'pingresp' })
        continue
      }
      const sent = subscribes(effects)
      tried.push(...sent.map(({ facts }) => facts.subscriptions.length))
      if (sent.some(({ facts }) => facts.subscriptions.length > 8)) {
        driver.lose({ byPeer: true })
        effects = driver.connect(connackOf(false))
      } else if (sent.length > 0) {
        effects = sent.flatMap(({ messageId, facts }) =>
          driver.receive(subackOf(messageId, ...facts.subscriptions.map(() => 1))),
        )
      } else {
        effects = driver.advance(0)
      }
    }
    expect(tried.slice(0, 3)).toEqual([25, 12, 12])
    expect(driver.state.session.subscriptionCount).toBe(25)
    // What was learned holds for the requests of the user, too.
    const topics = Array.from({ length: 9 }, (_, n) => `more/${n}`)
    expect(sizesOf(driver.request(subscribeOf(99, topics)))).toEqual([6])
  })

  test('a loss without a SUBSCRIBE open halves nothing', () => {
    const driver = subscribedBy([25])
    driver.request(publishOf(77))
    driver.lose({ byPeer: true })
    expect(sizesOf(driver.connect(connackOf(false)))).toEqual([25])
  })

  test('at most a thousand are unanswered; publishes wait until all are sent', () => {
    const driver = subscribedBy(Array(2500).fill(1))
    driver.lose()
    const effects = driver.connect(connackOf(false))
    const sent = subscribes(effects)
    expect(sent).toHaveLength(1000)
    expect(wire(driver.request(publishOf(7777, 0), publishOf(7778)))).toEqual([])
    const rest: string[] = []
    const open = [...sent]
    while (open.length > 0) {
      const { messageId } = open.shift()!
      const more = driver.receive(subackOf(messageId, 1))
      rest.push(...wire(more).map((one) => one.split(' ')[0]!))
      open.push(...subscribes(more))
    }
    expect(rest.filter((one) => one === 'SUBSCRIBE')).toHaveLength(1500)
    expect(rest.slice(0, 1500).every((one) => one === 'SUBSCRIBE')).toBe(true)
    expect(rest.slice(1500)).toEqual(['PUBLISH', 'PUBLISH'])
  })

  test('renewals that were not sent before the next loss are sent, whatever Session Present says', () => {
    for (const present of [true, false]) {
      const driver = subscribedBy(Array(1500).fill(1), { renewSubscriptions: 'lost' })
      driver.lose()
      expect(sizesOf(driver.connect(connackOf(false)))).toHaveLength(1000)
      driver.lose()
      const effects = driver.connect(connackOf(present))
      expect(driver.state.outgoing.renewals?.packets).toHaveLength(1500)
      expect(sizesOf(effects)).toHaveLength(1000)
    }
  })
})

describe('[D5] a SUBSCRIBE of the user with more filters than a packet may have', () => {
  const topics = (n: number) => Array.from({ length: n }, (_, i) => `t/${i}`)
  function connected(filtersPerSubscribe: number | null): Driver {
    const driver = new Driver({ filtersPerSubscribe, tolerance: 'strict' })
    driver.connect(connackOf(false))
    return driver
  }

  test('its parts leave one after the other; outcome, SUBACK and codes are one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 1, 2, 0x80, 0x87), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 12 }),
        (codes, most) => {
          const driver = connected(most)
          let effects = driver.request(subscribeOf(1, topics(codes.length)))
          const sizes: number[] = []
          const answers = []
          for (;;) {
            const [part, ...others] = only(effects, 'subscribe')
            answers.push(...only(effects, 'yield').filter(({ packet }) => packet.cmd === 'suback'))
            if (part === undefined) break
            expect(others).toEqual([])
            expect(outcomes(effects)).toEqual([])
            const { length } = part.facts.subscriptions
            const from = sizes.reduce((sum, size) => sum + size, 0)
            sizes.push(length)
            effects = driver.receive(subackOf(part.messageId, ...codes.slice(from, from + length)))
          }
          expect(sizes.every((size) => size <= most)).toBe(true)
          expect(sizes).toHaveLength(Math.ceil(codes.length / most))
          expect(answers).toMatchObject([{ handle: 1, packet: { granted: codes } }])
          const refused = codes.some((code) => code >= 0x80)
          expect(outcomes(effects)).toEqual([refused ? 'h1 NEGATIVE_ACKNOWLEDGEMENT' : 'h1 ok'])
          const granted = codes.filter((code) => code < 0x80).length
          expect(driver.state.session.subscriptionCount).toBe(granted)
          expect(driver.state.session.open.size).toBe(0)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('no SUBSCRIBE or UNSUBSCRIBE passes its parts; publishes do', () => {
    const driver = connected(2)
    driver.request(subscribeOf(1, topics(3)))
    expect(wire(driver.request(publishOf(2)))).toEqual([expect.stringMatching(/^PUBLISH/)])
    expect(wire(driver.request(unsubscribeOf(3, ['t/2'])))).toEqual([])
    expect(wire(driver.receive(subackOf(1, 0, 0)))).toEqual(['SUBSCRIBE 1 t/2'])
    expect(wire(driver.receive(subackOf(1, 0)))).toEqual([
      expect.stringMatching(/^UNSUBSCRIBE \d+ t\/2$/),
    ])
  })

  test.each([true, false])(
    'cut between two parts, Session Present %s: all of it again',
    (present) => {
      const driver = connected(2)
      driver.request(subscribeOf(1, topics(4)))
      driver.receive(subackOf(1, 0, 0))
      driver.lose()
      const sent = only(driver.connect(connackOf(present)), 'subscribe')
      expect(sent.map(({ facts }) => facts.subscriptions.map(({ topic }) => topic))).toEqual([
        ['t/0', 't/1'],
      ])
      const { messageId } = sent[0]!
      driver.receive(subackOf(messageId, 0, 0))
      expect(outcomes(driver.receive(subackOf(messageId, 0, 0)))).toEqual(['h1 ok'])
    },
  )

  test('while requests are isolated, a part has one filter, and each waits for a PINGRESP', () => {
    const driver = connected(null)
    driver.request(subscribeOf(1, topics(6)))
    for (let i = 0; i < 2; i++) {
      driver.lose({ byPeer: true })
      driver.connect(connackOf(true))
    }
    const sent: string[] = []
    for (let i = 0; i < 6; i++) {
      const part = wire(driver.receive({ cmd: 'pingresp' }))
      sent.push(...part)
      expect(wire(driver.receive(subackOf(1, 0)))).toEqual([])
      expect(wire(driver.advance(0))).toEqual(['PINGREQ'])
    }
    expect(sent).toEqual(topics(6).map((topic) => `SUBSCRIBE 1 ${topic}`))
    expect(outcomes(driver.effects)).toEqual(['h1 ok'])
  })

  test('a SUBACK that comes twice between two parts answers nothing', () => {
    const driver = new Driver({ filtersPerSubscribe: null })
    driver.connect(connackOf(false))
    driver.request(subscribeOf(1, topics(2)))
    for (let i = 0; i < 2; i++) {
      driver.lose({ byPeer: true })
      driver.connect(connackOf(true))
    }
    expect(wire(driver.receive({ cmd: 'pingresp' }))).toEqual(['SUBSCRIBE 1 t/0'])
    expect(outcomes(driver.receive(subackOf(1, 0), subackOf(1, 0)))).toEqual([])
    expect(driver.state.outgoing.subscribing).toBe(0)
    driver.advance(0)
    expect(wire(driver.receive({ cmd: 'pingresp' }))).toEqual(['SUBSCRIBE 1 t/1'])
    expect(outcomes(driver.receive(subackOf(1, 0)))).toEqual(['h1 ok'])
  })

  test('one part with the wrong number of codes is a violation', () => {
    const driver = connected(2)
    driver.request(subscribeOf(1, topics(4)))
    driver.receive(subackOf(1, 0, 0, 0, 0))
    expect(driver.kind).toBe('disconnected')
  })
})

describe('[D1] packet identifiers that an adopted session may have in use', () => {
  function adopted(doubtfulIds: number): Driver {
    const session = { ...initialSession('c'), adopted: true, doubtfulIds }
    const driver = new Driver({}, session)
    driver.connect(connackOf(true))
    return driver
  }

  function sent(driver: Driver, handle: number, qos: 1 | 2): string[] {
    return wire(driver.request(publishOf(handle, qos))).map((one) => one.split(' ')[0]!)
  }

  test('each is cleared before its first message of QoS 2, until all were', () => {
    const driver = adopted(2)
    expect(sent(driver, 1, 2)).toEqual(['PUBREL', 'PUBLISH'])
    expect(sent(driver, 2, 2)).toEqual(['PUBREL', 'PUBLISH'])
    expect(sent(driver, 3, 2)).toEqual(['PUBLISH'])
  })

  test('one that another message passes may be in use still', () => {
    const driver = adopted(2)
    sent(driver, 1, 2)
    expect(sent(driver, 2, 1)).toEqual(['PUBLISH'])
    for (const handle of [3, 4]) expect(sent(driver, handle, 2)).toEqual(['PUBREL', 'PUBLISH'])
  })

  test('so may one that was skipped because it is open here', () => {
    const driver = adopted(3)
    sent(driver, 1, 2)
    driver.state = { ...driver.state, session: { ...driver.state.session, nextMessageId: 1 } }
    expect(sent(driver, 2, 2)).toEqual(['PUBREL', 'PUBLISH'])
    for (const handle of [3, 4]) expect(sent(driver, handle, 2)).toEqual(['PUBREL', 'PUBLISH'])
  })

  test('a new session has none in use', () => {
    const driver = adopted(1000)
    driver.lose()
    driver.connect(connackOf(false))
    expect(sent(driver, 1, 2)).toEqual(['PUBLISH'])
  })

  test('the PUBCOMP of the clearing settles nothing, in any order', () => {
    for (const order of [
      ['pubcomp', 'pubrec', 'pubcomp'],
      ['pubrec', 'pubcomp', 'pubcomp'],
    ] as const) {
      const driver = adopted(2)
      driver.request(publishOf(1, 2))
      const settled = order.map((cmd) =>
        outcomes(driver.receive({ cmd, messageId: 1, reasonCode: 0 })),
      )
      expect(settled.flat()).toEqual(['h1 ok'])
      expect(driver.kind).toBe('connected')
    }
  })
})
