/**
 * Goal: an endpoint is named in messages without its secrets. Method: a table of URLs.
 */
import { expect, test } from 'vitest'
import { whereOf } from '../../src/options/endpoint.ts'

test.each([
  ['mqtt://user:secret@host:1884/path', 'mqtt://host:1884'],
  ['mqtt://host', 'mqtt://host:1883'],
  ['mqtts://user@host', 'mqtts://host:8883'],
  ['wss://host/mqtt?token=secret', 'wss://host:443'],
  ['unix:/run/mqtt.sock', 'unix:///run/mqtt.sock'],
])('%s is named without user name, password and query', (url, expected) => {
  const where = whereOf({ url })
  expect(where).toContain(expected.replace(/:\d+$/, ''))
  expect(where).not.toContain('secret')
})
