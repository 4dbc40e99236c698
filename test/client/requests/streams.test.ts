/**
 * Goal: Q9, streamed responses, and requests with many answers. Method: clients at a small broker
 * and a virtual clock.
 */
import { describe, expect, test } from 'vitest'
import type { Response } from '../../../src/client/index.ts'
import { type Surroundings, surround, text } from './surroundings.ts'

const sleep = (s: Surroundings, ms: number) =>
  new Promise<void>((resolve) => void s.clock.setTimer(resolve, ms))

/** A responder that streams numbers; `state` says how far it came. */
function counting(s: Surroundings, count: number, options = {}) {
  const state = { given: 0, ended: false }
  s.running('server', options).respond('count', async function* () {
    try {
      for (let i = 0; i < count; i++) {
        state.given++
        yield `${i}`
      }
    } finally {
      state.ended = true
    }
  })
  return state
}

async function all(parts: AsyncIterable<Response>): Promise<string[]> {
  const texts: string[] = []
  for await (const { payload } of parts) texts.push(text(payload))
  return texts
}

describe('[Q9] streamed responses', () => {
  test.each([0, 1, 5, 64, 65, 300])('[Q9] %d parts come in order, then the end', async (count) => {
    const s = surround()
    counting(s, count)
    await s.clock.advance(100)
    const parts = await s.value(1000, all(s.client('client').requestMany('count')))
    expect(parts).toEqual(Array.from({ length: count }, (_, i) => `${i}`))
  })

  test('[Q9] the responder pauses after 64 parts without credit', async () => {
    const s = surround()
    const state = counting(s, 1000)
    await s.clock.advance(100)
    const parts = s.client('client').requestMany('count', '', { timeout: 60_000 })
    await s.value(100, parts.next())
    await s.clock.advance(1000)
    expect(state.given).toBe(65 - 1)
    for (let i = 0; i < 40; i++) await s.value(10, parts.next())
    await s.clock.advance(100)
    expect(state.given).toBeGreaterThan(64)
    expect(state.given).toBeLessThanOrEqual(64 + 41)
    await s.value(100, parts.return!())
    await s.clock.advance(100)
    expect(state.ended).toBe(true)
  })

  test('[Q9] break cancels: the iterator of the responder is returned', async () => {
    const s = surround()
    const state = counting(s, 1000)
    await s.clock.advance(100)
    const client = s.client('client')
    const leave = async () => {
      for await (const _ of client.requestMany('count')) break
      await client.ping()
    }
    await s.value(1000, leave())
    expect(state).toEqual({ given: 64, ended: true })
    expect(client.state.requests.open).toBe(0)
  })

  test('[Q9] a throw in the stream comes as an error after the parts before it', async () => {
    const s = surround()
    s.running('server').respond('count', async function* () {
      yield '0'
      throw new Error('x')
    })
    await s.clock.advance(100)
    const parts = s.client('client').requestMany('count')
    expect(text((await s.value(100, parts.next())).value!.payload)).toBe('0')
    expect((await s.error(100, parts.next())).code).toBe('RESPONDER_FAILED')
    expect((await s.value(100, parts.next())).done).toBe(true)
  })

  test('[Q9] a part that is lost rejects STREAM_GAP; a part that is repeated is passed over', async () => {
    const s = surround()
    counting(s, 10)
    await s.clock.advance(100)
    let lost = '3'
    s.broker.copies = ({ payload }, to) =>
      to !== 'client' ? 1 : payload.toString() === lost ? 0 : 2
    const client = s.client('client')
    const parts = client.requestMany('count')
    for (let i = 0; i < 3; i++) {
      expect(text((await s.value(100, parts.next())).value!.payload)).toBe(`${i}`)
    }
    expect((await s.error(100, parts.next())).code).toBe('STREAM_GAP')
    lost = 'none'
    const again = await s.value(100, all(client.requestMany('count')))
    expect(again).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
  })

  test('[Q9] a stream without its end is no success', async () => {
    const s = surround()
    s.running('server').respond('count', async function* () {
      yield '0'
      await sleep(s, 60_000)
    })
    await s.clock.advance(100)
    const parts = s.client('client').requestMany('count', '', { timeout: 2000 })
    await s.value(100, parts.next())
    const error = await s.error(3000, parts.next())
    expect(['TIMEOUT', 'RESPONDER_TIMEOUT']).toContain(error.code)
  })

  test('[Q9] a stream goes on after a lost connection of the requester', async () => {
    const s = surround()
    const kept = { cleanStart: false, sessionExpiryInterval: 60 }
    counting(s, 200)
    await s.clock.advance(100)
    const client = s.client('client', kept)
    const parts = client.requestMany('count', '', { timeout: 60_000 })
    const texts: string[] = []
    for (let i = 0; i < 64; i++) texts.push(text((await s.value(1, parts.next())).value!.payload))
    s.broker.cut('client')
    await s.clock.advance(1000)
    const rest = await s.within(1000, all(parts))
    // What was sent while it was away is lost at QoS 0, and that is noticed.
    if (rest !== 'pending' && 'value' in rest) texts.push(...rest.value)
    else expect(rest).toMatchObject({ error: { code: 'STREAM_GAP' } })
    expect(texts).toEqual(texts.map((_, i) => `${i}`))
  })

  test('[Q9] credit and cancels are published to control topics only', async () => {
    const s = surround()
    const peer = s.running('peer')
    void peer.subscribe('count').granted
    await s.clock.advance(100)
    const client = s.client('client')
    const parts = client.requestMany('count')
    const first = parts.next()
    await s.clock.advance(100)
    const { responseTopic, correlationData } = s.broker.published.at(-1)!.properties!
    s.broker.publish({
      cmd: 'publish',
      dup: false,
      retain: false,
      qos: 0,
      topic: responseTopic!,
      payload: '0',
      properties: {
        correlationData: correlationData!,
        userProperties: { 'itm-status': '200', 'itm-seq': '0', 'itm-control': 'plant/stop' },
      },
    })
    await s.value(100, first)
    await s.value(100, parts.return!())
    await s.value(100, client.ping())
    expect(s.broker.published.some(({ topic }) => topic === 'plant/stop')).toBe(false)
  })
})

describe('many responders', () => {
  const crowd = async (count: number) => {
    const s = surround()
    for (let i = 0; i < count; i++) {
      s.running(`server${i}`).respond('who', async () => {
        await sleep(s, i * 100)
        return `${i}`
      })
    }
    await s.clock.advance(100)
    return { s, client: s.client('client') }
  }

  test('it ends at the deadline if something came', async () => {
    const { s, client } = await crowd(3)
    expect(await s.value(1100, all(client.requestMany('who', '', { timeout: 1000 })))).toEqual([
      '0',
      '1',
      '2',
    ])
  })

  test('it ends after max, and after stallMs of silence', async () => {
    const { s, client } = await crowd(5)
    expect(await s.value(150, all(client.requestMany('who', '', { max: 2 })))).toHaveLength(2)
    expect(await s.value(350, all(client.requestMany('who', '', { stallMs: 50 })))).toEqual(['0'])
  })

  test('if nothing came it rejects', async () => {
    const s = surround()
    void s.running('peer').subscribe('who').granted
    await s.clock.advance(100)
    const client = s.client('client')
    const parts = client.requestMany('who', '', { timeout: 1000 })
    expect((await s.error(1100, parts.next())).code).toBe('TIMEOUT')
    expect((await s.error(100, client.requestMany('nobody').next())).code).toBe('NO_RESPONDERS')
  })

  test('nothing is sent before it is iterated', async () => {
    const { s, client } = await crowd(1)
    client.requestMany('who')
    await s.clock.advance(100)
    expect(s.broker.connects).not.toContain('client')
  })
})
