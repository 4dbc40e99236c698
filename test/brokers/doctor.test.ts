/**
 * Goal: the doctor says of each broker of the matrix what the tests of that broker prove, and leaves
 * nothing there. docs/BROKERS.md has its answers (`npm run brokers`): a test gives them in its
 * `meta`.
 */
import { expect, test } from 'vitest'
import { type BrokerProfile, type DoctorReport, examine } from '../../src/doctor/index.ts'
import { eventloop, subscribe } from '../../src/index.ts'
import { type Spoken, withEachBroker } from '../support/each-broker.ts'

declare module 'vitest' {
  interface TaskMeta {
    doctor?: DoctorReport
  }
}

const TEST_MS = 60_000
const EXAMINATION_MS = 30_000
const QUIET_MS = 500
const PREFIX = 'it-mqtt/doctor'

withEachBroker(TEST_MS, (spoken) => {
  test('the doctor says what was proved, and leaves nothing', async ({ task }) => {
    const { url } = spoken.broker
    const report = await examine({ url, protocolVersion: spoken.version }).report()
    task.meta.doctor = report
    const { version } = spoken
    expect(report).toMatchObject({ failure: null, protocolVersion: version, left: [] })
    expect(report.durationMs).toBeLessThan(EXAMINATION_MS)
    expect(report.requests / (report.durationMs / 1000)).toBeLessThan(11)
    expect(report.profile).toMatchObject(provedOf(spoken))
    for (const { id, certainty, evidence } of report.findings) {
      if (certainty === 'shown') expect(evidence.length, id).toBeGreaterThan(1)
    }
    if (version === 5) expectKnown(spoken, report)
    expect(await retainedBelow(url)).toEqual([])
  })
})

/** What kinds.test.ts and client.test.ts prove of a broker, as a profile. */
function provedOf({ kind, version }: Spoken): BrokerProfile {
  const { maximumQoS, retainedBeforeFence, retainedByWildcard, sendsAhead } = kind
  const overlap = kind.overlap[version]
  const copies = version === 5 ? ({ overlap: 'separate' } as const) : {}
  return {
    ...{ maximumQoS, retainedBeforeFence, retainedByWildcard, sendsAhead },
    ...{ sessionKept: true, willPublished: true, ordered: true },
    sharedSubscriptions: kind.shares.includes(version),
    ...(overlap === 'one copy' ? { overlap: 'one-id' } : overlap === 'copies' ? copies : {}),
    ...(version === 5 ? { noMatchingSubscribers: kind.saysNobody.includes(1) } : {}),
  }
}

/** In MQTT 5 everything is known but what cannot be asked there. */
function expectKnown({ kind }: Spoken, { findings, profile }: DoctorReport): void {
  const unknown = findings.filter(({ why }) => why !== null).map(({ id }) => id)
  const shares = kind.shares.includes(5)
  expect(unknown).toEqual(shares ? [] : ['shared-lost', 'shared-away', 'shared-nobody'])
  // The differences of mosquitto say so of version 2.0.11.
  expect(profile.receiveMaximumObeyed).toBe(kind.name !== 'mosquitto')
}

/** @returns the topics of the retained messages that are below the prefix of the doctor. */
async function retainedBelow(url: string): Promise<readonly string[]> {
  const topics: string[] = []
  const loop = eventloop({ url, until: 'closed' }, [subscribe(`${PREFIX}/#`)])
  for await (const packet of loop) {
    if (packet.cmd === 'suback') setTimeout(() => void loop.return(), QUIET_MS)
    if (packet.cmd === 'publish' && packet.retain) topics.push(packet.topic)
  }
  return topics
}
