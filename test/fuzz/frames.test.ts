/**
 * [V1] [V2] [V3] [V4] A small part of `npm run fuzz -- --event-stream`, the same in every run, and
 * a proof that it finds faults.
 */
import { expect, test } from 'vitest'
import { MessageDecoder } from '../../src/event-stream/codec/message-decoder.ts'
import { checkFrames, checkStream, frameInputOf } from './frames.ts'

test('[V1] [V2] [V3] 20,000 inputs pass the decoder of event streams', { timeout: 60_000 }, () => {
  const rules = new Map<string, number>()
  let messages = 0
  for (let number = 0; number < 20_000; number++) {
    const { messages: read, rule, isCut } = checkFrames(frameInputOf(1, number), number)
    messages += read
    const name = rule ?? (isCut ? 'cut' : 'whole')
    rules.set(name, (rules.get(name) ?? 0) + 1)
  }
  expect(messages).toBeGreaterThan(10_000)
  // Each rule is met, or the inputs are too tame.
  expect([...rules.keys()].sort()).toEqual([
    'cut',
    'header name',
    'header twice',
    'header type',
    'header value',
    'headers length',
    'maxHeaders',
    'maxHeadersBytes',
    'maxPayloadBytes',
    'message checksum',
    'prelude checksum',
    'total length',
    'whole',
  ])
})

test('[V4] [V5] 500 inputs pass decodeStream', async () => {
  for (let number = 0; number < 500; number++) await checkStream(frameInputOf(2, number))
})

test('a decoder of event streams that forgets a byte is found', () => {
  const { push } = MessageDecoder.prototype
  MessageDecoder.prototype.push = function (this: MessageDecoder, chunk) {
    return push.call(this, chunk.length === 5 ? chunk.subarray(0, 4) : chunk)
  }
  try {
    const all = () => {
      for (let number = 0; number < 500; number++) checkFrames(frameInputOf(1, number), number)
    }
    expect(all).toThrow(/the cut changes|another/)
  } finally {
    MessageDecoder.prototype.push = push
  }
})
