/**
 * Goal: a broker that allows its user one connection is recognised, and said once in words, in
 * place of many questions that fail. Method: the ways in which brokers end the other connection.
 */
import { expect, test } from 'vitest'
import type { PacketRecord, TestBroker } from '../../src/testing/index.ts'
import { patient, reported } from './world.ts'

const ALWAYS = { times: Number.POSITIVE_INFINITY }
/** CONNECT of the first connection, of one that looks for a second one, twice: and no more. */
const REQUESTS_MAX = 5

/** The connections beside the first one. */
const isSecond = ({ packet, clientId }: PacketRecord) =>
  packet.cmd === 'connect' && !clientId.endsWith('0000')

/** Ends all connections but the one of a CONNECT that was accepted. */
function keepsNewest(broker: TestBroker, reasonCode: number | null): void {
  broker.watch({ cmd: 'connack', direction: 'toClient' }, ({ clientId }) => {
    for (const other of [...broker.clients.keys()]) {
      if (other === clientId) continue
      if (reasonCode === null) broker.kill(other)
      else broker.disconnect(other, reasonCode)
    }
  })
}

interface Way {
  readonly is: string
  readonly version: 4 | 5
  prepare(broker: TestBroker): void
  readonly message: RegExp
  readonly code: string
  /** Whether the first connection lives, so that what it can answer is answered. */
  readonly answers: boolean
}

const WAYS: readonly Way[] = [
  {
    ...{ is: 'the second is refused with 0x97', version: 5, answers: true },
    prepare: ({ faults }) => faults.refuse(isSecond, 0x97, ALWAYS),
    ...{ message: /a second one was not accepted \(.*quota/i, code: 'QUOTA_EXCEEDED' },
  },
  {
    ...{ is: 'the second is refused in MQTT 3.1.1', version: 4, answers: false },
    prepare: ({ faults }) => faults.refuse(isSecond, 0x87, ALWAYS),
    ...{ message: /a second one was not accepted/, code: 'NOT_AUTHORIZED' },
  },
  {
    ...{ is: 'the second is closed without a word', version: 5, answers: true },
    prepare: ({ faults }) => faults.kill(isSecond, ALWAYS),
    ...{ message: /a second one was not accepted/, code: 'ECONNRESET' },
  },
  {
    ...{ is: 'the second has no answer', version: 5, answers: true },
    prepare: ({ faults }) => faults.drop(isSecond, ALWAYS),
    ...{ message: /a second one was not accepted \(there was no answer\)/, code: 'TIMEOUT' },
  },
  {
    ...{ is: 'the second is closed behind its CONNACK', version: 5, answers: true },
    prepare: (broker) =>
      broker.watch({ cmd: 'connack', direction: 'toClient' }, ({ clientId }) => {
        if (clientId.endsWith('0000')) return
        queueMicrotask(() => broker.disconnect(clientId, 0x97))
      }),
    ...{ message: /a second one was closed \(.*quota/i, code: 'QUOTA_EXCEEDED' },
  },
  {
    ...{ is: 'the first is taken over with 0x8E', version: 5, answers: false },
    prepare: (broker) => keepsNewest(broker, 0x8e),
    ...{ message: /the first one was closed when a second/, code: 'SESSION_TAKEN_OVER' },
  },
  {
    ...{ is: 'the first is closed without a word', version: 4, answers: false },
    prepare: (broker) => keepsNewest(broker, null),
    ...{ message: /the first one was closed when a second/, code: 'ECONNRESET' },
  },
]

test.each(WAYS)('one connection: $is', async ({ version, prepare, message, code, answers }) => {
  const one = patient({}, version)
  prepare(one.broker)
  const report = await reported(one)
  expect(report.failure).toMatchObject({ code, retryable: false })
  expect(report.failure!.message).toMatch(/^the broker allows this user one connection: /)
  expect(report.failure!.message).toMatch(message)
  expect(report.failure!.message).toMatch(/let this user have ten .*, or give the doctor another/)
  expect(report).toMatchObject({ protocolVersion: version, profile: {}, left: [] })
  const known = report.findings.filter(({ certainty }) => certainty !== 'unknown')
  expect(known.map(({ id }) => id)).toEqual(answers ? ['announced'] : [])
  // What needs no second connection is asked on the first one, as long as that lives.
  const isFirst = message.source.startsWith('the first one')
  const others = report.findings.filter(({ id }) => isFirst || id !== 'announced')
  expect(new Set(others.map(({ why }) => why))).toEqual(new Set([report.failure!.message]))
  expect(report.requests).toBeLessThanOrEqual(REQUESTS_MAX)
  expect(one.broker.clients.size).toBe(0)
})

test('a second connection that fails once is no such broker', async () => {
  const one = patient()
  one.broker.faults.kill(isSecond)
  const { failure, findings } = await reported(one, { only: ['qos'] })
  expect(failure).toBeNull()
  expect(findings[0]).toMatchObject({ answer: 'QoS 2' })
})
