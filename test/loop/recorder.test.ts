/**
 * The flight recorder is bounded, holds no secrets, and replays to the same effects and the same
 * state.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type EventloopOptions, publish, replay, UsageError } from '../../src/index.ts'
import { Recorder } from '../../src/loop/recorder.ts'
import type { Input } from '../../src/protocol/contract.ts'
import { step } from '../../src/protocol/engine.ts'
import { initialSession, initialState } from '../../src/protocol/initial.ts'
import { configs, instructions, play } from '../protocol/story.ts'
import { configOf } from '../protocol/support.ts'
import { startLoop } from '../support/loop.ts'

const SECRET = 'the secret of the house'

async function recorded(recorder: EventloopOptions['recorder'], options: EventloopOptions = {}) {
  const requests = [
    publish('a', SECRET, { qos: 1 }),
    publish('b', '2', { qos: 2, properties: { correlationData: Buffer.from(SECRET) } }),
    publish('c', 'x'.repeat(70)),
    publish('c', 'y'),
  ]
  const started = startLoop({ until: 'closed', recorder: recorder!, ...options }, requests)
  await started.clock.advance(10)
  started.server.current.send({
    cmd: 'publish',
    topic: 't',
    payload: SECRET,
    qos: 1,
    messageId: 7,
    dup: false,
    retain: false,
  })
  await started.clock.advance(10)
  started.server.current.reset()
  await started.clock.advance(60_000)
  return started
}

const steps = (text: string | null) => [...replay(text!)]

test('a whole run is replayed to the same effects and the same state', async () => {
  for (const bytes of [false, true]) {
    const { loop } = await recorded({ inputs: 1000, bytes })
    const replayed = steps(loop.recording())
    expect(replayed.length).toBeGreaterThan(5)
    expect(replayed.map(({ differs }) => differs)).toEqual(replayed.map(() => null))
    expect(replayed.at(-1)!.after.connection.kind).toBe('connected')
    expect(replayed.at(-1)!.after.counters.taken).toBe(4)
    void loop.return()
  }
})

test('bytes are kept as their length unless the user asks for them, and passwords never are', async () => {
  const secrets = { username: 'u', password: SECRET, will: { topic: 'w', payload: SECRET } }
  const hidden = (await recorded({ inputs: 1000 }, secrets)).loop.recording()!
  expect(hidden).not.toContain(SECRET)
  expect(hidden).not.toContain(Buffer.from(SECRET).toString('base64'))
  expect(hidden).toContain(`{"$length":${SECRET.length}}`)
  const shown = (await recorded({ inputs: 1000, bytes: true }, secrets)).loop.recording()!
  expect(shown).toContain(Buffer.from(SECRET).toString('base64'))
  expect(shown).not.toContain(SECRET)
})

test('the newest inputs are kept, and the state before the oldest of them', async () => {
  const { loop } = await recorded({ inputs: 4 })
  const replayed = steps(loop.recording())
  const kept = replayed.flatMap(({ inputs }) => inputs)
  expect(kept.length).toBeLessThanOrEqual(8)
  expect(replayed[0]!.before.connection.epoch).toBeGreaterThan(0)
  expect(replayed.every(({ differs }) => differs === null)).toBe(true)
})

test('it is off by default, and reported once if the loop ends with an error, but not if it is aborted', async () => {
  const quiet = startLoop({}, [])
  await quiet.clock.advance(10)
  expect(quiet.loop.recording()).toBeNull()

  const faults: string[] = []
  const recorder = { inputs: 100, onFault: (text: string) => void faults.push(text) }
  const lost = startLoop({ reconnect: 'never', until: 'closed', recorder }, [])
  await lost.clock.advance(10)
  lost.server.current.reset()
  await lost.clock.advance(10)
  expect(lost.ended).toBe(true)
  expect(faults).toHaveLength(1)
  expect(steps(faults[0]!).at(-1)!.after.connection.kind).toBe('failed')

  const abort = new AbortController()
  const aborted = startLoop({ until: 'closed', signal: abort.signal, recorder }, [])
  await aborted.clock.advance(10)
  abort.abort()
  await aborted.clock.advance(2000)
  expect([aborted.ended, faults.length]).toEqual([true, 1])
})

test('a listener that throws changes nothing about the end', async () => {
  const onFault = () => {
    throw new Error('the disk is full')
  }
  const lost = startLoop(
    { reconnect: 'never', until: 'closed', recorder: { inputs: 10, onFault } },
    [],
  )
  await lost.clock.advance(0)
  lost.server.current.reset()
  await lost.clock.advance(10)
  expect(lost.error).toMatchObject({ code: 'ECONNRESET' })
})

describe('any run', () => {
  test('replays byte for byte, from any input on', () => {
    fc.assert(
      fc.property(
        configs,
        fc.array(instructions, { maxLength: 40 }),
        fc.nat(30),
        (config, story, keep) => {
          const { inputs } = play(config, story)
          const recorder = new Recorder({ inputs: keep + 1, bytes: true })
          const given = configOf(config)
          let state = initialState(given, initialSession('c'))
          for (const input of inputs as Input[]) {
            const result = step(state, [input])
            recorder.note(state, [input], result.effects, result.state)
            state = result.state
          }
          const replayed = steps(recorder.text())
          expect(replayed.filter(({ differs }) => differs !== null)).toEqual([])
        },
      ),
      { numRuns: 200 },
    )
  })

  test('shows what was changed afterwards: an effect, or the state at the end', async () => {
    const text = (await recorded({ inputs: 1000 })).loop.recording()!
    const forged = text.replace(
      '"type":"dial","protocolVersion":5',
      '"type":"dial","protocolVersion":4',
    )
    expect(forged).not.toBe(text)
    expect(steps(forged).map(({ differs }) => differs)).toContain('effects')
    const lines = text.trimEnd().split('\n')
    lines[lines.length - 1] = lines.at(-1)!.replace('"taken":4', '"taken":5')
    expect(steps(lines.join('\n')).at(-1)!.differs).toBe('end')
  })
})

test('a text that is not a recording is refused with the place', () => {
  for (const [text, says] of [
    ['', /line 1/],
    ['{"it-mqtt recording":9}', /line 1 .* format 1/],
    ['{"it-mqtt recording":1}\n{"inputs":[],"effects":[]}', /line 2 has no state/],
    ['{"it-mqtt recording":1}\nnonsense', /line 2 is not an object/],
  ] as const) {
    expect(() => steps(text)).toThrow(UsageError)
    expect(() => steps(text)).toThrow(says)
  }
})

test('options that cannot be used are named', () => {
  for (const [recorder, says] of [
    [5, /recorder must be .*not 5/],
    [{}, /recorder\.inputs/],
    [{ inputs: 0 }, /recorder\.inputs/],
    [{ inputs: 1, bytes: 1 }, /recorder\.bytes/],
    [{ inputs: 1, file: 'x' }, /recorder has no field "file"/],
    [{ inputs: 1, onFault: 'x' }, /recorder\.onFault/],
  ] as const) {
    expect(() => startLoop({ recorder: recorder as never })).toThrow(says)
  }
})
