/**
 * Goal: what fails ends a stream of events with its reason, harms nothing else and is told to
 * everybody who waits. Method: ends in memory that fail when a test wants it.
 */
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { text } from '../../src/client/index.ts'
import {
  decodeMessage,
  decodeStream,
  defineEvents,
  encodeMessage,
  type MessageInput,
  openEventStream,
  overBytes,
} from '../../src/event-stream/index.ts'
import { ConnectionError, UsageError } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { frame } from './support.ts'
import { End, event, events, settle, signing, taken } from './world.ts'

const push = (end: End, message: MessageInput) =>
  end.receive.push(decodeMessage(encodeMessage(message)))

describe('initial messages', () => {
  test.each(['throws', 'rejects'])('[V7] [V9] if the first send %s, all fails', async (how) => {
    const rpc = defineEvents({ done: {} }, { initialRequest: { codec: text }, initialResponse: {} })
    const error = new Error('no room')
    const end = new End()
    end.send = () => {
      if (how === 'throws') throw error
      return Promise.reject(error)
    }
    const stream = openEventStream(end, { events: rpc, role: 'client', initial: 'hello' })
    const waiting = [stream.next(), stream.initialResponse, stream.join()]
    const outcomes = Promise.allSettled(waiting)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: error })
    expect([end.closed, end.receive.returns]).toEqual([[error], 1])
  })
})
