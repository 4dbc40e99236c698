import { expect, test } from 'vitest'
import { checkRequest, publish, subscribe, UsageError } from '../../src/index.ts'

test('a request that a loop would take passes, and one that it would refuse is a UsageError', () => {
  checkRequest(publish('a/b', 'text', { qos: 1 }))
  checkRequest(subscribe('a/#', { nl: true }))
  checkRequest({ cmd: 'pause', ms: 5 })
  expect(() => checkRequest(publish('a/#'))).toThrow(UsageError)
  expect(() => checkRequest(subscribe('a/#', { nl: true }), 4)).toThrow(/nl/)
  expect(() => checkRequest('text')).toThrow(UsageError)
})
