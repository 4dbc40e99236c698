/**
 * Goal: Q1 to Q4, what a requester is promised. Method: clients at a small broker and a virtual
 * clock; the other side is a responder of ours, or packets by hand.
 */
import { expect, test } from 'vitest'
import { surround, text } from './surroundings.ts'

test('Q2: a request is answered', async () => {
  const s = surround()
  const server = s.running('server')
  server.respond('plant/{line}/start', (request) => `${request.params.line} ${text(request.payload)}`)
  await s.clock.advance(100)
  const client = s.client('client')
  void s.within(50, client.request('plant/7/start', 'now')).then(() => console.log(s.warnings))
  const response = await s.value(100, client.request('plant/7/start', 'now'))
  expect(text(response.payload)).toBe('7 now')
  expect(response.status).toBe(200)
})
