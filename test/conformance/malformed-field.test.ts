/**
 * Goal: for every input of malformed.jsonl that has bytes, the answer with `tolerance: 'field'` that
 * malformed-field.jsonl gives, in both versions. Method: malformed.ts brings each row about, whole
 * and cut. The rule is checked as well: a packet that closes the connection yields no message, and
 * a kind that the table of deviations closes on never goes on.
 */
import { describe, expect, test } from 'vitest'
import type { MqttError } from '../../src/errors.ts'
import { DEVIATIONS, type DeviationKind } from '../../src/protocol/deviations.ts'
import { jsonLines } from '../codec/support.ts'
import {
  assertNothingLeft,
  type Case,
  CUTS,
  type Cut,
  caseOf,
  play,
  rows,
  TAIL,
  textOf,
} from './malformed.ts'

interface Answer {
  readonly answer: 'go on' | 'close'
  /** The kinds of deviations that are counted when the bytes come in one chunk. */
  readonly kinds: readonly DeviationKind[]
  /** How many messages of the bytes are delivered. */
  readonly delivered: number
  /** `ok`, or the code of the error, of the request that is open. */
  readonly outcome?: string
}

interface FieldRow {
  readonly id: string
  readonly v5?: Answer
  readonly v311?: Answer
}

const answers = new Map(
  jsonLines<FieldRow>('conformance/malformed-field.jsonl').map((row) => [row.id, row]),
)

test('[I1] every row with bytes has an answer, and no other', () => {
  for (const row of rows) {
    const { v5, v311 } = answers.get(row.id) ?? {}
    expect(v5 !== undefined, row.id).toBe(caseOf(row, 5) !== null)
    expect(v311 !== undefined, row.id).toBe(caseOf(row, 4) !== null)
  }
  const ids = new Set(rows.map(({ id }) => id))
  expect([...answers.keys()].filter((id) => !ids.has(id))).toEqual([])
})

for (const version of [5, 4] as const) {
  describe(`MQTT ${version === 5 ? '5' : '3.1.1'}, tolerance field`, () => {
    for (const row of rows) {
      const one = caseOf(row, version)
      const answer = answers.get(row.id)?.[version === 5 ? 'v5' : 'v311']
      if (one === null || answer === undefined) continue
      test(`[I1] ${row.id} ${row.title}: ${answer.answer} ${answer.kinds.join(' ')}`, async () => {
        for (const cut of CUTS) await judge(one, cut, answer)
      })
    }
  })
}

async function judge(row: Case, cut: Cut, { answer, kinds, ...due }: Answer): Promise<void> {
  const at = `${row.id} ${cut}`
  const world = await play(row, cut, 'field')
  const { connection, server, loop, warnings } = world
  expect(connection.error, at).toBeUndefined()
  expect(server.dials, at).toHaveLength(1)
  expect(connection.closed ? 'close' : 'go on', at).toBe(answer)
  const counted = loop.state.counters.deviations
  if (cut !== 'byte by byte') expect(Object.keys(counted).sort(), at).toEqual(kinds)
  const told = warnings.filter(({ code }) => code === 'SERVER_DEVIATION')
  expect(told, at).toHaveLength(Object.keys(counted).length)
  for (const kind of Object.keys(counted) as DeviationKind[]) {
    expect(DEVIATIONS[kind].field, `${at} ${kind}`).toBe('go on')
  }
  if (answer === 'go on' && cut !== 'with a good packet behind it') {
    connection.send(TAIL[row.version])
    await world.clock.advance(0)
  }
  const texts = world.received.flatMap((packet) =>
    packet.cmd === 'publish' ? [textOf(packet)] : [],
  )
  const tail = answer === 'go on' ? ['tail @0: 2121'] : []
  expect(texts.slice(due.delivered), `${at}: delivered`).toEqual(tail)
  if (due.outcome !== undefined) {
    const codes = world.outcomes.map(({ outcome }) =>
      outcome.ok ? 'ok' : (outcome.error as MqttError).code,
    )
    expect(codes, at).toEqual([due.outcome])
  }
  await assertNothingLeft(world, at)
}
