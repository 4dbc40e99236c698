/**
 * Goal: an examination spares the broker, removes what it made however it ends, and never fails or
 * guesses because of what a broker does. Method: the broker in memory, on a virtual clock.
 */
import { describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { type DoctorOptions, examine, type Finding } from '../../src/doctor/index.ts'
import { UsageError } from '../../src/index.ts'
import type { PacketRecord } from '../../src/testing/index.ts'
import { about, type Patient, patient, reported, toBroker, toClient } from './world.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
const QUESTIONS = 28
const MS_MAX = 30_000
/** Averaged over the whole examination, in both directions. */
const PACKETS_PER_SECOND_MAX = 35

const REQUESTS: ReadonlySet<string> = new Set(['connect', 'publish', 'subscribe', 'unsubscribe'])

const isRequest = (one: PacketRecord) => toBroker(one) && REQUESTS.has(one.packet.cmd)

const isRemoval = ({ packet }: PacketRecord) =>
  packet.cmd === 'publish' && packet.retain && packet.payload.length === 0

/** The most packets of a kind within a second. */
function busiest(records: readonly PacketRecord[]): number {
  return Math.max(
    ...records.map(({ at }) => records.filter((one) => one.at >= at && one.at < at + 1000).length),
  )
}

/** Expects that nothing of an examination is left at the broker. */
function expectNothingLeft({ broker }: Patient): void {
  expect([...broker.retained.keys()]).toEqual([])
  expect([...broker.sessions.keys()]).toEqual([])
  expect([...broker.clients.keys()]).toEqual([])
}

describe.each([5, 4] as const)('MQTT %d', (version) => {
  test('all questions take half a minute, and ten requests a second', async () => {
    const one = patient({}, version)
    const report = await reported(one)
    expect(report).toMatchObject({ format: 1, protocolVersion: version, failure: null, left: [] })
    expect(report.findings).toHaveLength(QUESTIONS)
    expect(report.durationMs).toBeLessThan(MS_MAX)
    const requests = one.broker.log.filter(isRequest)
    const seconds = report.durationMs / 1000
    expect(report.requests).toBe(requests.length)
    expect(requests.length / seconds).toBeLessThanOrEqual(11)
    // A burst of ten may begin a second in which ten more may follow.
    expect(busiest(requests)).toBeLessThanOrEqual(20)
    const messages = requests.filter(({ packet }) => packet.cmd === 'publish')
    expect(messages.length / seconds).toBeLessThanOrEqual(6)
    expect(one.broker.log.length / seconds).toBeLessThanOrEqual(PACKETS_PER_SECOND_MAX)
    expectNothingLeft(one)
  })

  test('a broker that refuses every publish and subscription is not known', async () => {
    const one = patient({}, version)
    one.broker.faults.refuse('subscribe', 0x87, ALWAYS)
    one.broker.faults.refuse('publish', 0x87, ALWAYS)
    const { findings, profile } = await reported(one)
    const known = findings.filter(({ certainty }) => certainty !== 'unknown')
    // What needs neither is known, and that it refuses.
    const ids = ['announced', 'packet-size', 'refused-publish', 'refused-subscribe', 'shared']
    const allowed = [...ids, 'response-information', 'no-subscribers', 'no-subscribers-away']
    expect(known.map(({ id }) => id).filter((id) => !allowed.includes(id))).toEqual([])
    expect(profile.refusedSubscribe).toEqual(['code'])
    for (const { why, certainty } of findings) {
      if (certainty === 'unknown') expect(why).toBeTruthy()
    }
    expectNothingLeft(one)
  })

  test('a broker that answers nothing but CONNECT is not known, within the time', async () => {
    const one = patient({}, version)
    const silent = ({ packet, direction }: PacketRecord) =>
      direction === 'toClient' && packet.cmd !== 'connack' && packet.cmd !== 'pingresp'
    one.broker.faults.drop(silent, ALWAYS)
    const report = await reported(one)
    expect(report.durationMs).toBeLessThan(MS_MAX + 5000)
    const known = report.findings.filter(({ certainty }) => certainty === 'shown')
    const forms = known.map(({ id, answer }) => `${id}: ${answer}`)
    for (const form of forms) expect(form).toMatch(/^refused-\w+: .*no answer/)
  })

  test('a broker that closes on everything is not known', async () => {
    const one = patient({}, version)
    one.broker.faults.kill('subscribe', ALWAYS)
    one.broker.faults.kill((record) => record.packet.cmd === 'publish' && toBroker(record), ALWAYS)
    const { findings, profile } = await reported(one)
    const known = findings.filter(({ certainty }) => certainty === 'shown').map(({ id }) => id)
    // Even what it should take ends the connection, so that nothing is a refusal.
    expect(known).toEqual([])
    expect(profile).not.toHaveProperty('refusedPublish')
    expect(profile).not.toHaveProperty('sharedSubscriptions')
  })

  test('a broker that is slow has the same answers', async () => {
    const [quick, slow] = [patient({}, version), patient({}, version)]
    const isAnswer = ({ packet, direction }: PacketRecord) =>
      direction === 'toClient' && packet.cmd !== 'publish'
    slow.broker.faults.delay(isAnswer, 400, ALWAYS)
    const expected = await reported(quick)
    const { findings } = await reported(slow, { timeout: 60_000 })
    for (const [i, finding] of findings.entries()) {
      if (finding.certainty === 'unknown') continue
      expect(finding.answer, finding.id).toBe(expected.findings[i]!.answer)
    }
    const known = (all: readonly Finding[]) => all.filter(({ why }) => why === null).length
    expect(known(findings)).toBeGreaterThan(known(expected.findings) - 4)
  })

  test('what was made is removed if the examination is ended, at any moment', async () => {
    for (const afterMs of [500, 2000, 4000, 8000, 12_000]) {
      const one = patient({}, version)
      const ending = new AbortController()
      const ended = examine({ ...one.target, signal: ending.signal }).report()
      ended.catch(() => {})
      await one.clock.advance(afterMs)
      ending.abort(new Error('enough'))
      await expect(one.clock.until(ended)).rejects.toThrow('enough')
      expectNothingLeft(one)
      one.broker.close()
      expect(one.clock.pendingTimers).toBe(0)
    }
  })
})

test('a broker that cannot be reached rejects nothing', async () => {
  const one = patient()
  one.broker.refuseConnections()
  const report = await reported(one)
  expect(report).toMatchObject({ protocolVersion: null, profile: {}, left: [] })
  expect(report.failure).toMatchObject({ code: 'ECONNREFUSED', retryable: true })
  expect(report.findings).toHaveLength(QUESTIONS)
  expect(report.findings[0]!.why).toContain('no connection')
})

test('a broker that refuses the credentials says so', async () => {
  const one = patient()
  one.broker.refuseConnections(0x86)
  const { failure } = await reported(one)
  expect(failure).toMatchObject({ code: 'BAD_CREDENTIALS' })
})

test('a broker that does not answer CONNECT is given up', async () => {
  const one = patient()
  one.broker.hang()
  const report = await reported(one)
  expect(report.failure).not.toBeNull()
  expect(report.durationMs).toBeLessThan(MS_MAX)
})

test('MQTT 5 is asked for first, and 3.1.1 where there is no 5', async () => {
  const one = patient({ protocolVersions: [4] })
  expect(await reported(one, { only: ['qos'] })).toMatchObject({
    protocolVersion: 4,
    profile: { maximumQoS: 2 },
  })
})

test('findings come one by one, and the report has all of them', async () => {
  const one = patient()
  const found: Finding[] = []
  const examination = examine({ ...one.target, only: ['qos', 'will', 'order'] })
  const reading = (async () => {
    for await (const finding of examination) found.push(finding)
  })()
  await one.clock.until(reading)
  const { findings } = await examination.report()
  expect(findings.map(({ id }) => id)).toEqual(['qos', 'order', 'will'])
  expect(new Set(found)).toEqual(new Set(findings))
})

test('two iterations at the same time have all findings, and both end', async () => {
  const one = patient()
  const examination = examine({ ...one.target, only: ['qos', 'will', 'order'] })
  const read = async () => {
    const ids: string[] = []
    for await (const { id } of examination) ids.push(id)
    return ids.sort()
  }
  const both = await one.clock.until(Promise.all([read(), read()]))
  expect(both).toEqual([
    ['order', 'qos', 'will'],
    ['order', 'qos', 'will'],
  ])
})

test('what a broker says brings no control characters to a terminal', async () => {
  const one = patient()
  const properties = { reasonString: 'no\u001b[2J\u009b31m' }
  const refusal = { cmd: 'puback', reasonCode: 0x87, properties } as const
  one.broker.faults.answer('publish', [refusal], ALWAYS)
  const report = await reported(one, { only: ['order'] })
  const text = JSON.stringify(report.findings[0]!.evidence)
  expect(text).toContain('u001b[2J')
  expect(report.findings.flatMap(({ evidence }) => evidence).join('')).not.toMatch(
    /[\u0000-\u001f\u007f-\u009f]/,
  )
})

test('leaving the iteration ends the examination, and removes what was made', async () => {
  const one = patient()
  const reading = (async () => {
    for await (const _ of examine(one.target)) break
  })()
  await one.clock.until(reading)
  expectNothingLeft(one)
  one.broker.close()
  expect(one.clock.pendingTimers).toBe(0)
})

test('a question that fails leaves nothing, and fails no other', async () => {
  const one = patient()
  one.broker.faults.drop(about('retained-expiry', toClient), ALWAYS)
  const { findings } = await reported(one, { only: ['retained-expiry', 'qos'] })
  expect(findings.map(({ why }) => why)).toEqual([null, 'the retained message did not come'])
  expectNothingLeft(one)
})

test('what cannot be removed is named', async () => {
  const one = patient()
  one.broker.faults.refuse(isRemoval, 0x87, ALWAYS)
  const { left } = await reported(one, { only: ['retained-wildcard'] })
  expect(left).toEqual([
    expect.stringMatching(
      /^the retained message of it-mqtt\/doctor\/\w+\/retained-wildcard\/kept$/,
    ),
  ])
})

test.each([5, 4] as const)(
  'MQTT %d: what a question made is removed when its finding is there',
  async (version) => {
    const one = patient({}, version)
    const left: string[] = []
    let made = 0
    const reading = (async () => {
      for await (const { id } of examine(one.target)) {
        const topics = [...one.broker.retained.keys()].filter((topic) => topic.includes(`/${id}/`))
        left.push(...topics)
        made = Math.max(made, one.broker.retained.size)
        // Six questions at a time have two sessions each at most.
        const away = [...one.broker.sessions.keys()].filter((own) => !one.broker.clients.has(own))
        if (away.length > 12) left.push(`${away.length} sessions`)
      }
    })()
    await one.clock.until(reading, 60_000)
    expect(left).toEqual([])
    expect(made).toBeGreaterThan(0)
    expectNothingLeft(one)
  },
)

test('what is removed between questions takes nothing of their time', async () => {
  const unansweredWithin = async (timeout: number) => {
    const { findings, durationMs } = await reported(patient(), { timeout })
    return [findings.filter(({ why }) => why === 'the time was up').length, durationMs] as const
  }
  const [none, durationMs] = await unansweredWithin(60_000)
  expect(none).toBe(0)
  const removedMs = 1500
  expect(await unansweredWithin(durationMs - removedMs)).toEqual([0, durationMs])
  const [some, most] = await unansweredWithin(durationMs - 4000)
  expect(some).toBeGreaterThan(0)
  expect(most).toBeLessThan(durationMs)
})

test('what one try does not remove is removed at the end', async () => {
  const one = patient()
  one.broker.faults.refuse(isRemoval, 0x97)
  const { left, findings } = await reported(one, { only: ['retained-wildcard', 'session'] })
  expect(findings.map(({ why }) => why)).toEqual([null, null])
  expect(left).toEqual([])
  expectNothingLeft(one)
})

test('after an abort `left` has what could not be removed, and nothing else', async () => {
  for (const isRefused of [false, true]) {
    const one = patient()
    if (isRefused) one.broker.faults.refuse(isRemoval, 0x87, ALWAYS)
    const ending = new AbortController()
    const only = ['retained-wildcard', 'session', 'no-subscribers-away']
    const examination = examine({ ...one.target, only, signal: ending.signal })
    expect(examination.left).toEqual([])
    const ended = examination.report()
    ended.catch(() => {})
    await one.clock.advance(1800)
    expect(examination.left.some((what) => what.startsWith('the session of doctor-'))).toBe(true)
    ending.abort(new Error('enough'))
    await expect(one.clock.until(ended)).rejects.toThrow('enough')
    const kept = [...one.broker.retained.keys()].map((topic) => `the retained message of ${topic}`)
    expect(examination.left).toEqual(kept)
    expect(kept).toHaveLength(isRefused ? 1 : 0)
    expect([...one.broker.sessions.keys()]).toEqual([])
  }
})

test('a broker that does not answer PINGREQ is said to, with what to do', async () => {
  const one = patient()
  one.broker.faults.drop('pingresp', ALWAYS)
  const { failure, findings, protocolVersion } = await reported(one)
  const text =
    /^the broker accepted .* not answer a PINGREQ within 10 s; try again .* such as a proxy/
  expect(failure).toMatchObject({ code: 'TIMEOUT', message: expect.stringMatching(text) })
  expect(protocolVersion).toBe(5)
  for (const { why } of findings) expect(why).toMatch(text)
})

test('a broker whose PINGRESP the time does not suffice for says that', async () => {
  const one = patient()
  one.broker.faults.drop('pingresp', ALWAYS)
  const { failure, durationMs } = await reported(one, { timeout: 2000 })
  expect(failure).toMatchObject({ message: 'the time was up' })
  expect(durationMs).toBeLessThan(2100)
})

test('it stays below its prefix and with its client identifiers', async () => {
  const one = patient()
  await reported(one, { prefix: 'lab/7', clientIdPrefix: 'me-' })
  const topics = one.broker.received.flatMap(({ packet }) =>
    packet.cmd === 'publish'
      ? [packet.topic]
      : packet.cmd === 'subscribe'
        ? packet.subscriptions.map(({ topic }) => topic)
        : packet.cmd === 'connect' && packet.will
          ? [packet.will.topic]
          : [],
  )
  const own = /^(?:\$share\/doctor\/|\$SYS\/)?lab\/7\/\w{8}\//
  expect(topics.filter((topic) => !own.test(topic))).toEqual([])
  const ids = one.broker.received.map(({ clientId }) => clientId)
  expect(ids.filter((id) => !/^me-\w{12}$/.test(id))).toEqual([])
})

test('credentials of each attempt count; its client identifier and will do not', async () => {
  const one = patient()
  const connectOptions = () => ({
    ...{ username: 'anna', clientId: 'taken', will: { topic: 'mine' } },
  })
  await reported(one, { connectOptions, only: ['qos'] })
  const connects = one.broker.packets('connect')
  expect(connects.length).toBeGreaterThan(2)
  for (const packet of connects) {
    expect(packet).toMatchObject({ username: 'anna', clientId: expect.stringMatching(/^doctor-/) })
    expect(packet).not.toHaveProperty('will')
  }
})

test('a client takes the profile, and obeys it', async () => {
  const one = patient()
  const isMany = ({ packet }: PacketRecord) =>
    packet.cmd === 'subscribe' && packet.subscriptions.length > 8
  one.broker.faults.kill(isMany, ALWAYS)
  const { profile } = await reported(one, { only: ['filters-per-subscribe', 'overlap'] })
  expect(profile).toEqual({ protocolVersion: 5, filtersPerSubscribe: 8, overlap: 'merged' })
  one.broker.clearLog()
  const client = createClient({ transport: one.broker.transport, platform: one.clock, profile })
  const filters = Array.from({ length: 20 }, (_, i) => `t/${i}`)
  const { granted } = client.subscribe(filters)
  expect(await one.clock.until(granted)).toHaveLength(20)
  const sizes = one.broker.packets('subscribe').map((packet) => {
    return packet.cmd === 'subscribe' ? packet.subscriptions.length : 0
  })
  expect(Math.max(...sizes)).toBeLessThanOrEqual(8)
  await one.clock.until(client.close())
})

test.each<[string, DoctorOptions]>([
  ['only', { only: ['qos', 'nonsense'] }],
  ['prefix', { prefix: 'a/+' }],
  ['timeout', { timeout: 3 }],
  ['clientIdPrefix', { clientIdPrefix: 3 as unknown as string }],
  ['examine', null as unknown as DoctorOptions],
  ['url', { url: 'bogus' }],
  ['no option will', { will: { topic: 'device/status', payload: 'gone' } } as DoctorOptions],
  ['no option cleanStart', { cleanStart: false } as DoctorOptions],
  ['no option profile', { profile: { maximumPacketSize: 100 } } as DoctorOptions],
])('an option that cannot be used is named: %s', (name, options) => {
  expect(() => examine(options)).toThrow(UsageError)
  expect(() => examine(options)).toThrow(name)
})
