/**
 * Goal: docs/examples/programs/on-call.ts does what its first lines say. Method: two engineers and
 * a screen at a broker in memory, on a virtual clock; one of them loses the connection.
 */
import { expect, test } from 'vitest'
import { board, onCall } from '../../docs/examples/programs/on-call.ts'
import { createBroker, virtualClock } from '../../src/testing/index.ts'

test('[H2] [H4] the screen shows who is on call, who is lost, and who comes back', async () => {
  const clock = virtualClock()
  const broker = createBroker({ clock })
  const ending = new AbortController()
  const optionsOf = (clientId: string) => ({
    clientId,
    platform: clock,
    transport: broker.transport,
    sessionExpiryInterval: 0,
  })
  const shown: string[][] = []
  const running = [
    board(optionsOf('screen'), 'database', (lines) => shown.push([...lines]), ending.signal),
    onCall(optionsOf('ada'), 'database', '555-1', ending.signal),
    onCall(optionsOf('bob'), 'database', '555-2', ending.signal),
  ]
  await clock.advance(1000)
  expect(shown.at(-1)).toEqual(['ada 555-1', 'bob 555-2'])
  broker.refuseConnections()
  broker.kill('ada')
  await clock.advance(10)
  expect(shown.at(-1)).toEqual(['ada is lost', 'bob 555-2'])
  broker.acceptConnections()
  await clock.advance(60_000)
  expect(shown.at(-1)).toEqual(['ada 555-1', 'bob 555-2'])
  ending.abort()
  await clock.advance(1000)
  await Promise.all(running)
  expect([...broker.retained.keys()].filter((topic) => topic.includes('/s/'))).toEqual([])
  broker.close()
  expect(clock.pendingTimers).toBe(0)
})
