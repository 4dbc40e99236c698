/**
 * Goal: the subscription options of `it-mqtt sub` have their effect at a real server. Method: the
 * command as a process before a mosquitto, which speaks MQTT 5.
 */
import { expect, test } from 'vitest'
import { cli, start, until } from '../cli/support.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'

test('[CLI] --retain-handling and --no-local', { timeout: 60_000 }, async (context) => {
  requireMosquitto(context)
  await using broker = await Mosquitto.start()
  const server = ['--url', broker.url]
  await cli(['pub', ...server, 'a/kept', 'old', '-q', '1', '-r'])

  const always = await cli(['sub', ...server, 'a/#', '--retain-handling', '0', '-C', '1'])
  expect(always.stdout).toBe('old\n')
  for (const when of ['never', '2']) {
    const sub = start([
      'sub',
      ...server,
      'a/#',
      '-v',
      '--retain-handling',
      when,
      '-C',
      '1',
      '-q',
      '1',
    ])
    // The command is subscribed once a message comes through.
    const ended = sub.ended.then(() => true)
    await until(async () => {
      await cli(['pub', ...server, 'a/new', 'now', '-q', '1'])
      return Promise.race([ended, false])
    })
    expect((await sub.ended).stdout).toBe('a/new now\n')
  }

  const session = ['sub', ...server, 'a/#', '-i', 'me', '-c', '--retain-handling', 'new']
  const first = await cli([...session, '-C', '1'])
  const second = await cli([...session, '-W', '1'])
  expect([first.stdout, second.stdout, second.status]).toEqual(['old\n', '', 27])

  const clear = ['sub', ...server, 'a/#', '--remove-retained', '-v', '-W', '1']
  expect((await cli(clear)).stdout).toBe('a/kept old\na/kept (null)\n')
  await cli(['pub', ...server, 'a/kept', 'old', '-q', '1', '-r'])
  expect((await cli([...clear, '--no-local'])).stdout).toBe('a/kept old\n')
})
