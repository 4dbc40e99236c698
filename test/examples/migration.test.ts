/**
 * Goal: the program of docs/MIGRATING.md does the same before and after, and stands there as it is.
 * Method: both run as processes, and somebody uses them.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { LocalBroker, Probe } from '../support/local-broker.ts'
import { start } from '../support/process.ts'

const FOLDER = new URL('../../docs/examples/migration/', import.meta.url)
const scope = { onTestFinished }

test.each(['before', 'after'])('the valves are served, %s the migration', async (name) => {
  const broker = await LocalBroker.start(scope)
  const probe = await Probe.at(broker.url, scope)
  process.env['MQTT_URL'] = broker.url
  const program = new URL(`${name}.ts`, FOLDER).pathname
  const child = start(process.execPath, ['--import', 'tsx', program])
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr!.on('data', (text) => (errors += text))
  await probe.sees('heating/connected 2')
  await probe.sees('heating/status/kitchen {"val":20}')
  await probe.sees('heating/status/bath {"val":22}')
  await probe.publish('heating/set/kitchen', '17.5')
  await probe.sees('heating/status/kitchen {"val":17.5}')
  for (const [room, target] of Object.entries({ cellar: '3', bath: 'warm', kitchen: '99' })) {
    await probe.publish(`heating/set/${room}`, target)
  }
  await probe.publish('heating/get/bath', '')
  await probe.sees('heating/status/bath {"val":22}', 2)
  broker.cut()
  await probe.sees('heating/connected 2', 2)
  expect(probe.seen).toContain('heating/connected 0')
  const ended = once(child, 'close')
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  await probe.sees('heating/connected 0', 2)
  expect(errors).toContain('cellar')
  expect(errors).toContain('not a number: warm')
  expect(errors).toContain('cannot do 99')
})

test('docs/MIGRATING.md shows both programs as they are', () => {
  const page = readFileSync(new URL('../../docs/MIGRATING.md', import.meta.url), 'utf8')
  for (const name of ['before', 'after']) {
    expect(page).toContain(readFileSync(new URL(`${name}.ts`, FOLDER), 'utf8'))
  }
})
