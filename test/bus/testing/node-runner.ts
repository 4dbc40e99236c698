/** A test for Node's own runner, which runners.test.ts starts. Nothing of it may keep Node alive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeBus } from '../../../src/bus/testing/index.ts'
import { answers, auth } from '../auth-api.ts'

test('a fake bus needs no configuration', async () => {
  const fake = fakeBus({ apis: [auth] })
  fake.mock(auth, 'length', answers.length)
  const names: string[] = []
  fake.bus.api(auth).registered.listen('welcome', {}, ({ value }) => names.push(value.name))
  void fake.bus.run()
  assert.equal(await fake.bus.api(auth).length('four'), 4)
  await fake.fireFrom(auth, 'registered', { name: 'Ada', age: '36' })
  assert.deepEqual(names, ['Ada'])
  assert.throws(() => fake.expectCalled(auth, 'length', { with: 'five' }), {
    name: 'AssertionError',
    message: /expected at least one call with "five", and there was none; 1 in all/,
  })
  await fake.close()
  assert.equal(fake.clock.pendingTimers, 0)
})

test('a fake bus that nobody closes keeps nobody waiting', async () => {
  const fake = fakeBus({ apis: [auth] })
  fake.mock(auth, 'length', () => new Promise(() => {}))
  fake.bus
    .api(auth)
    .length('four')
    .catch(() => {})
  await fake.settle()
  fake.expectCalled(auth, 'length', { times: 1, with: 'four' })
})
