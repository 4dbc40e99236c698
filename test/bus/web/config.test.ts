/**
 * Goal: in a browser a configuration is an object, a text or a URL, and what names a file is an
 * error that says what to do (B16). Method: the files of browsers in place of Node's.
 */
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/bus/index.ts'

const CONFIG = { service: 'shop', client: { url: 'wss://localhost' } }

describe('[B16] loadConfig() in a browser', () => {
  test('takes an object, a text and a URL, and has no environment', async () => {
    process.env['IT_MQTT_BUS_SERVICE'] = 'other'
    const fetch = (async () => new Response(JSON.stringify(CONFIG))) as never
    for (const source of [CONFIG, { text: JSON.stringify(CONFIG) }, 'https://example.com/a.json']) {
      expect(await loadConfig(source, { fetch })).toEqual(CONFIG)
    }
    delete process.env['IT_MQTT_BUS_SERVICE']
  })

  test('a page cannot see where a redirection leads', async () => {
    const fetch = (async () => ({ type: 'opaqueredirect', status: 0 })) as never
    const loading = loadConfig('https://example.com/a.json', { fetch })
    await expect(loading).rejects.toMatchObject({ message: expect.stringContaining('last URL') })
  })

  test.each<[string, string | URL]>([
    ['a path', 'bus.yaml'],
    ['a file: URL', new URL('file:///bus.yaml')],
  ])('%s is an error', async (_, source) => {
    await expect(loadConfig(source)).rejects.toMatchObject({ code: 'NO_FILES' })
  })

  test.each<[string, object]>([
    ['a password in a file', { client: { ...CONFIG.client, passwordFile: '/run/secret' } }],
    ['a module with hooks', { hooks: [{ module: '/audit.js' }] }],
  ])('%s is an error', async (_, more) => {
    const loading = loadConfig({ ...CONFIG, ...more })
    await expect(loading).rejects.toMatchObject({ code: 'NO_FILES' })
  })

  test.each(['{hostname}', '{pid}'])('there is no %s', async (name) => {
    const loading = loadConfig({ ...CONFIG, process: name })
    await expect(loading).rejects.toMatchObject({ code: 'INVALID_CONFIG' })
  })
})
