/**
 * Goal: a configuration becomes the options of a bus, or all of its faults are told, with their
 * places (B16). Method: files in a folder, texts and objects; the schema is compared with ajv.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, describe, expect, test } from 'vitest'
import {
  type ConfigSource,
  configSchema,
  createBus,
  type LoadConfigOptions,
  loadConfig,
} from '../../src/bus/index.ts'
import { UsageError } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const MINIMAL = 'service: shop\nclient: { url: mqtt://localhost }\n'
const load = (source: ConfigSource, options: LoadConfigOptions = {}) =>
  loadConfig(source, { env: {}, ...options })

/** @returns the lines about faults. */
async function faultsOf(source: ConfigSource, options: LoadConfigOptions = {}): Promise<string[]> {
  const error = await load(source, options).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(UsageError)
  const { message, code, issues = [] } = error as UsageError
  expect([code, message]).toEqual(['INVALID_CONFIG', expect.stringMatching(/^loadConfig: /)])
  const lines = message.split('\n').slice(1)
  expect(lines.map((line) => line.trim())).toEqual(issues.map((issue) => issue.message))
  return lines.map((line) => line.trim())
}

describe('a configuration', () => {
  const whole = `
service: shop
process: "{hostname}-1"          # the same after a restart
prefix: plant/bus
client:
  url: [ "mqtt://one", "mqtt://two" ]
  username: shop
  passwordFile: secret
  keepAlive: 30
  tls: { caFile: ca.pem, rejectUnauthorized: true }
apis:
  default: { timeout: 4000, validate: { outgoing: false } }
  auth: { timeout: 1000 }
  billing/invoices: {}
listeners:
  send-welcome: { onError: retry, retry: { max: 3, then: deadLetter }, dedupe: false }
hooks:
  - { module: ./audit.mjs, options: { level: 2 } }
  - { module: ./missing.mjs, enabled: false }
features: { only: [rpcs, tasks] }
schema: { lifetime: lease, onBreaking: refuse }
presence: true
control: false
`

  test('[B16] becomes the options of a bus', async () => {
    file('secret', 'pa55 word\nnot this\n')
    file('ca.pem', 'CA\n')
    file('audit.mjs', 'export const hooks = ({ level }) => ({ call: (_, next) => next(level) })')
    const path = file('bus.yaml', whole)
    for (const source of [path, pathToFileURL(path)]) {
      const options = await load(source)
      expect(options).toEqual({
        service: 'shop',
        process: expect.stringMatching(/^.+-1$/),
        prefix: 'plant/bus',
        client: {
          url: ['mqtt://one', 'mqtt://two'],
          username: 'shop',
          password: 'pa55 word',
          keepAlive: 30,
          tls: { ca: 'CA\n', rejectUnauthorized: true },
        },
        timeout: 4000,
        validate: { outgoing: false },
        apis: { auth: { timeout: 1000 }, 'billing/invoices': {} },
        listeners: {
          'send-welcome': {
            onError: 'retry',
            retry: { max: 3, ['then']: 'deadLetter' },
            dedupe: false,
          },
        },
        hooks: [{ call: expect.any(Function) }],
        features: { only: ['rpcs', 'tasks'] },
        schema: { lifetime: 'lease', onBreaking: 'refuse' },
        ...{ presence: true, control: false },
      })
      await createBus({ ...options, client: 'mqtt://localhost' }).close()
    }
  })

  test('may be JSON, a text, an object or a function of one', async () => {
    const expected = { service: 'shop', client: { url: 'mqtt://localhost' } }
    const json = JSON.stringify(expected)
    for (const source of [
      file('bus.json', json),
      { text: json },
      { text: MINIMAL },
      { text: MINIMAL, format: 'yaml', name: 'x' },
      { text: ` ${json}`, format: 'json' },
      expected,
      () => expected,
      async () => MINIMAL,
      () => ({ text: json }),
    ] as const) {
      expect(await load(source)).toEqual(expected)
    }
  })

  test('has placeholders for names that differ', async () => {
    const text = `${MINIMAL}process: "a{pid}-{random8}"`
    const { process: name } = await load({ text })
    expect(name).toMatch(new RegExp(`^a${process.pid}-[0-9a-f]{8}$`))
    expect(await faultsOf({ text: `${MINIMAL}process: "{host}"` })).toEqual([
      'the text:3:10: process has a placeholder that is none of {hostname}, {pid} and {random8}',
    ])
  })
})

describe('the places of a setting', () => {
  const text = `
service: shop
client: { url: mqtt://file, keepAlive: 1, password: p }
apis: { default: { timeout: 1 }, auth: {} }
listeners: { send-welcome: { concurrency: 1 } }
features: { only: [rpcs] }
`

  test('[B16] code comes before the environment, and that before the file', async () => {
    const env = {
      IT_MQTT_BUS_SERVICE: 'env',
      IT_MQTT_BUS_CLIENT_URL: 'mqtt://env',
      IT_MQTT_BUS_CLIENT_KEEP_ALIVE: '2',
      IT_MQTT_BUS_CLIENT_PROTOCOL_VERSION: '5',
      IT_MQTT_BUS_CLIENT_PASSWORD: '12345',
      IT_MQTT_BUS_APIS_DEFAULT_TIMEOUT: '2',
      IT_MQTT_BUS_APIS_AUTH_VALIDATE_INCOMING: 'false',
      IT_MQTT_BUS_APIS_AUTH_QOS: '0',
      IT_MQTT_BUS_APIS_DEFAULT_LOG: 'error',
      IT_MQTT_BUS_ENVELOPE: 'cloudevents',
      IT_MQTT_BUS_SCHEMA_ON_BREAKING: 'refuse',
      IT_MQTT_BUS_PRESENCE: 'true',
      IT_MQTT_BUS_LISTENERS_SEND_WELCOME_CONCURRENCY: '2',
      IT_MQTT_BUS_FEATURES_ONLY: 'rpcs, tasks',
      IT_MQTT_BUS_PREFIX: '',
      IT_MQTT_URL: 'mqtt://other',
    }
    const overrides = { service: 'code', process: undefined, client: { keepAlive: 3 } }
    expect(await load({ text }, { env, overrides })).toEqual({
      service: 'code',
      client: { url: 'mqtt://env', keepAlive: 3, password: '12345', protocolVersion: 5 },
      ...{ timeout: 2, log: 'error', envelope: 'cloudevents', presence: true },
      schema: { onBreaking: 'refuse' },
      apis: { auth: { validate: { incoming: false }, qos: 0 } },
      listeners: { 'send-welcome': { concurrency: 2 } },
      features: { only: ['rpcs', 'tasks'] },
    })
    const off = { IT_MQTT_BUS_SCHEMA: 'false', IT_MQTT_BUS_LISTENERS_A_DEDUPE: 'false' }
    const table = `${MINIMAL}schema: { lifetime: lease }\nlisteners: { a: {} }`
    expect(await load({ text: table }, { env: off })).toMatchObject({
      ...{ schema: false, listeners: { a: { dedupe: false } } },
    })
    const part = { IT_MQTT_BUS_SCHEMA_ON_BREAKING: 'refuse' }
    for (const env of [
      { ...off, ...part },
      { ...part, ...off },
    ]) {
      expect(await load({ text: table }, { env })).toMatchObject({ schema: false })
    }
    const on = { IT_MQTT_BUS_SCHEMA: 'true' }
    await expect(load({ text: MINIMAL }, { env: on })).rejects.toThrow(
      'IT_MQTT_BUS_SCHEMA must be a table, or false',
    )
    const alone = { IT_MQTT_BUS_SERVICE: 'a', IT_MQTT_BUS_CLIENT_URL: 'mqtt://b' }
    expect(await load({ text: '' }, { env: alone })).toEqual({
      service: 'a',
      client: { url: 'mqtt://b' },
    })
  })

  test('a password of a later place replaces a file of an earlier one', async () => {
    const given = `${MINIMAL.replace(' }', ', passwordFile: /none }')}`
    const options = await load({ text: given }, { env: { IT_MQTT_BUS_CLIENT_PASSWORD: 'x' } })
    expect(options.client).toMatchObject({ password: 'x' })
    const both = `${MINIMAL.replace(' }', ', password: a, passwordFile: /dev/null }')}`
    expect(await faultsOf({ text: both })).toEqual([
      expect.stringMatching(/client.passwordFile and password are both given/),
    ])
  })

  test('[B16] faults of the environment and of code name their place', async () => {
    const env = { IT_MQTT_BUS_CLIENT_ULR: 'x', IT_MQTT_BUS_CLIENT_KEEP_ALIVE: '5s', PATH: '' }
    const faults = await faultsOf({ text: MINIMAL }, { env, overrides: { prefix: 7 } })
    expect(faults).toEqual([
      'IT_MQTT_BUS_CLIENT_ULR names no setting; did you mean IT_MQTT_BUS_CLIENT_URL?',
      'IT_MQTT_BUS_CLIENT_KEEP_ALIVE must be a whole number of seconds from 0 to 65535, not a text; write 5',
      'overrides: prefix must be a text, not a number',
    ])
  })
})

describe('faults', () => {
  test('[B16] are told together, with file, line, column, path and the nearest name', async () => {
    const path = file(
      'faulty.yaml',
      [
        'servise: shop',
        'client:',
        '  ulr: mqtt://localhost',
        '  keepAlive: 5m',
        '  url: 7',
        'apis:',
        '  auth: { timeout: 5s, qso: 1, qos: 2, log: warning }',
        '  a.b: {}',
        'listeners: { x: { onError: retri, concurrency: 0 } }',
        'hooks: [ { modul: ./a.js }, 7 ]',
        'features: [ rpcs ]',
      ].join('\n'),
    )
    expect((await faultsOf(path)).map((line) => line.replace(path, 'F'))).toEqual([
      'F:1:1: servise is no setting; did you mean service?',
      'F:3:3: client.ulr is no setting; did you mean url?',
      'F:4:14: client.keepAlive must be a whole number of seconds from 0 to 65535, not a text; write 300',
      'F:5:8: client.url must be a text or a list, not a number',
      'F:7:20: apis.auth.timeout must be a number of ms from 1 to 86400000, not a text; write 5000',
      'F:7:24: apis.auth.qso is no setting; did you mean qos?',
      'F:7:37: apis.auth.qos must be one of 0, 1',
      'F:7:45: apis.auth.log must be one of debug, info, warn, error, silent; did you mean warn?',
      'F:8:3: apis["a.b"] cannot be a name here: it must be levels of A-Z, a-z, 0-9, "_" and "-", joined by "/"',
      'F:9:28: listeners.x.onError must be one of stop, skip, retry, deadLetter; did you mean retry?',
      'F:9:48: listeners.x.concurrency must be a whole number from 1 to 65535',
      'F:10:12: hooks[0].modul is no setting; did you mean module?',
      'F:10:29: hooks[1] must be a table, not a number',
      'F:11:11: features must be a table, not a list',
    ])
  })

  test('[B16] of JSON have their places too', async () => {
    const text = '{\n  "service": "shop",\n  "clint": {},\n  "features": { "only": ["x"] }\n}'
    expect(await faultsOf({ text, name: 'bus.json' })).toEqual([
      'bus.json:3:3: clint is no setting; did you mean client?',
      'bus.json:4:26: features.only[0] must be one of rpcs, events, tasks',
    ])
  })

  test('[B16] what is missing is told when nothing else is wrong', async () => {
    expect(await faultsOf({ text: 'hooks: [ {} ]\nclient: {}' })).toEqual([
      'the text:1:1: service is missing',
      'the text:1:10: hooks[0].module is missing',
      'the text:2:9: client.url is missing',
    ])
  })

  test('hold no values: one may be a password', async () => {
    const texts = [
      'client: { password: [s3cret] }',
      'client: { password: 73313 }',
      'client: { password: "s3cret }',
      'client:\n\tpassword: s3cret',
      'client: s3cret',
      '{"client": s3cret}',
      '{"client": {"password": "s3cret"',
      'a: &a s3cret\na: *s3cret',
      'client: { tls: s3cret, reconnect: s3cret }',
    ]
    for (const text of texts) {
      expect((await faultsOf({ text })).join()).not.toMatch(/s3cret|73313/)
    }
  })

  test.each<[string, string, RegExp]>([
    ['nothing', '', /service is missing/],
    ['a list', '- a', /the configuration must be a table, not a list/],
    ['a name twice', 'service: a\nservice: b', /^the text:2:1: this name stands twice/],
    ['a tab', 'client:\n\turl: x', /^the text:2:1: a tab cannot indent/],
    ['a tag', 'service: !secret a', /^the text:1:10: tags are not taken/],
    ['code', 'service: !!js/function "a"', /tags are not taken/],
    ['bytes', 'service: !!binary aGk=', /service must be a text/],
    ['two documents', 'service: a\n---\nservice: b', /more than one document/],
    ['an alias of nothing', 'service: *a', /aliases cannot be used/],
    ['an alias of itself', 'apis: &a { b: *a }', /aliases cannot be used/],
    ['a merge key', '<<: { service: a }', /\["<<"\] is no setting/],
    ['__proto__', '__proto__: { service: a }', /__proto__ is no setting/],
    ['constructor', 'constructor: a', /constructor is no setting/],
    ['__proto__ inside', 'client: { __proto__: { url: x } }', /client.__proto__ is no setting/],
    ['a number as a name', '7: a', /\["7"\] is no setting/],
    ['a table as a name', '? [1, 2]\n: a', /is no setting/],
    ['infinity', 'client: { keepAlive: .inf }', /keepAlive must be .* not no finite number/],
    ['true as dedupe', 'listeners: { a: { dedupe: true } }', /must be a table, or false, not true/],
    ['true as schema', 'schema: true', /schema must be a table, or false, not true/],
    ['another lifetime', 'schema: { lifetime: ever }', /schema.lifetime must be one of/],
    ['presence as a text', 'presence: "yes"', /presence must be true or false/],
    ['an empty list', 'client: { url: [] }', /client.url must not be empty/],
    ['brackets', '['.repeat(1_000_000), /nested deeper than 64/],
    ['dashes', '- '.repeat(400_000), /nested deeper than 64/],
    ['question marks', '? '.repeat(400_000), /nested deeper than 64/],
    [
      'deep indentation',
      Array.from({ length: 600 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
      /deeper/,
    ],
    [
      'names',
      Array.from({ length: 3000 }, (_, i) => `k${i}: 1`).join('\n'),
      /more than 2000 names/,
    ],
    ['parts', `a: [${'1,'.repeat(60_000)}1]`, /too many parts/],
    [
      'a thousand million laughs',
      Array.from({ length: 10 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(10)}]`)
        .join('\n')
        .replaceAll('*a-1', 'ha'),
      /more than 100 when written out/,
    ],
    ['JSON that is deep', `{"a":${'['.repeat(100_000)}`, /nested deeper than 64/],
    ['JSON with a name twice', '{"service":"a","service":"b"}', /:1:16: this name stands twice/],
    ['JSON with __proto__', '{"__proto__":{"service":"a"}}', /__proto__ is no setting/],
    ['JSON with an end', '{"service":"a"}}', /:1:16: .*it should end here/],
    ['JSON with a comma', '{"service":"a",}', /:1:16: .*a name in ""/],
    ['JSON without an end', '{"service":', /a value is expected/],
    ['JSON in single quotes', "{'a': 1}", /a name in ""/],
  ])('[B16] %s', async (_, text, message) => {
    const startedAt = performance.now()
    expect((await faultsOf({ text })).join('\n')).toMatch(message)
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['a number', 7],
    ['a list', []],
    ['http:', 'http://example.com/bus.yaml'],
    ['ftp:', new URL('ftp://example.com/bus.yaml')],
    ['a function of nothing', () => undefined],
    ['another format', { text: '', format: 'toml' }],
    ['a text that is none', { text: 7 }],
    ['a text of 2 MiB', { text: ' '.repeat(2 ** 21) }],
    ['a text with another field', { text: '', path: 'a' }],
  ])('%s is no source', async (_, source) => {
    await expect(load(source as ConfigSource)).rejects.toMatchObject({ name: 'UsageError' })
  })

  test('a file that is missing, too long or no text is an error that names it', async () => {
    for (const [path, why] of [
      [join(folder, 'none.yaml'), 'ENOENT'],
      [folder, 'EISDIR'],
      [file('long.yaml', ' '.repeat(2 ** 20 + 1)), 'more than 1 MiB'],
      [file('bytes.yaml', new Uint8Array([0xff, 0xfe])), 'not UTF-8'],
    ] as const) {
      await expect(load(path)).rejects.toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(new RegExp(`${path}.*${why}`)),
      })
    }
  })

  test.each<[string, string, RegExp]>([
    ['is missing', './none.mjs', /hooks\[0\].module cannot be loaded/],
    ['exports nothing', './empty.mjs', /must export a function hooks/],
    ['exports an object', './object.mjs', /must export a function hooks/],
    ['returns nothing', './nothing.mjs', /must export a function hooks/],
    ['throws when loaded', './broken.mjs', /cannot be loaded: broken/],
    ['throws when called', './throws.mjs', /hooks\(\) that failed: no level/],
    ['is a package', 'left-pad', /must be a path that begins with/],
    ['is a URL', 'https://example.com/a.js', /must be a path that begins with/],
  ])('a module with hooks that %s', async (_, module, message) => {
    file('empty.mjs', '')
    file('object.mjs', 'export const hooks = {}')
    file('nothing.mjs', 'export const hooks = () => {}')
    file('broken.mjs', 'throw new Error("broken")')
    file('throws.mjs', 'export const hooks = () => { throw new Error("no level") }')
    const path = file('hooks.yaml', `${MINIMAL}hooks: [ { module: "${module}" } ]`)
    const [fault, ...others] = await faultsOf(path)
    expect(others).toEqual([])
    expect(fault).toMatch(message)
    expect(fault).toMatch(/hooks.yaml:3:\d+: /)
  })

  test('a relative file needs a configuration that is in a file', async () => {
    const text = `${MINIMAL}hooks: [ { module: ./a.mjs } ]`
    expect((await faultsOf({ text }))[0]).toMatch(/must be an absolute path/)
  })
})

describe('a configuration from the network', () => {
  type Answer = (url: string, signal: AbortSignal) => Response | Promise<Response>
  const fetching = (answer: Answer) =>
    (async (url: unknown, init: RequestInit) => answer(String(url), init.signal!)) as never
  const source = 'https://user:pass@example.com/bus.yaml?token=s3cret'
  const redirect = (location: string) => new Response(null, { status: 302, headers: { location } })

  test('is YAML or JSON, also behind redirections', async () => {
    const json = JSON.stringify({ service: 'shop', client: { url: 'mqtt://localhost' } })
    const asked: string[] = []
    const fetch = fetching((url) => {
      asked.push(url)
      if (url === source) return redirect('/next')
      return new Response(json, { headers: { 'content-type': 'application/json' } })
    })
    expect(await load(source, { fetch })).toMatchObject({ service: 'shop' })
    expect(asked).toEqual([source, 'https://user:pass@example.com/next'])
    const yaml = fetching(() => new Response(MINIMAL))
    expect(await load(new URL(source), { fetch: yaml })).toMatchObject({ service: 'shop' })
  })

  test.each<[string, Answer, RegExp]>([
    ['redirects to http:', () => redirect('http://example.com/'), /redirects to http:/],
    ['redirects to a file', () => redirect('file:///etc/passwd'), /redirects to file:/],
    ['redirects to nothing', () => redirect('https://['), /redirects to invalid:/],
    ['redirects for ever', () => redirect('/again'), /more than 5 times/],
    ['answers 404', () => new Response('', { status: 404 }), /status 404/],
    ['fails', () => Promise.reject(new Error('no route')), /cannot be read: no route/],
    ['is too long', () => new Response('#'.repeat(2 ** 20 + 1)), /more than 1 MiB/],
    ['is no UTF-8', () => new Response(new Uint8Array([0xff])), /cannot be read/],
  ])('one that %s is an error without secrets', async (_, answer, message) => {
    const error = await load(source, { fetch: fetching(answer) }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toMatch(message)
    expect(error.message).toContain('https://example.com/bus.yaml')
    expect(error.message).not.toMatch(/s3cret|pass@/)
  })

  test('one that does not come is given up after 5 s', async () => {
    const clock = virtualClock()
    const signals: AbortSignal[] = []
    const fetch = fetching((_, signal) => {
      signals.push(signal)
      return new Promise(() => {})
    })
    let error: unknown
    load(source, { fetch, platform: clock }).catch((thrown) => {
      error = thrown
    })
    await clock.advance(4999)
    expect(error).toBeUndefined()
    await clock.advance(1)
    expect(error).toMatchObject({ message: expect.stringContaining('within 5000 ms') })
    expect([signals[0]!.aborted, clock.pendingTimers]).toEqual([true, 0])
  })

  test('names no files of this machine', async () => {
    const text = `${MINIMAL.replace(' }', ', passwordFile: /etc/passwd }')}hooks: [ { module: /a.js } ]`
    const fetch = fetching(() => new Response(text))
    expect(await faultsOf(source, { fetch })).toEqual([
      expect.stringMatching(/hooks\[0\].module names a file of this machine/),
      expect.stringMatching(/client.passwordFile names a file of this machine/),
    ])
  })
})

describe('configSchema', () => {
  const validate = new Ajv2020({ strict: false }).compile(configSchema)

  test.each<[string, object]>([
    ['the least', {}],
    ['all features', { features: { only: ['rpcs'], skip: [] } }],
    ['an API', { apis: { default: {}, 'a/b': { timeout: 1 } } }],
    ['all of an API', { apis: { a: { log: 'silent', strict: true, codec: 'text', qos: 0 } } }],
    ['a codec of another name', { apis: { a: { codec: 'cbor' } } }],
    ['QoS 2', { apis: { default: { qos: 2 } } }],
    ['QoS as a text', { apis: { default: { qos: '1' } } }],
    ['another envelope', { envelope: 'xml' }],
    ['no schemas', { schema: false }],
    ['schemas', { schema: { lifetime: 'lease', onBreaking: 'warn' } }],
    ['true as schema', { schema: true }],
    ['another way of publishing', { schema: { onBreaking: 'ignore' } }],
    ['no dedupe', { listeners: { a: { dedupe: false } } }],
    ['a hook', { hooks: [{ module: './a.js', options: 1, enabled: false }] }],
    ['an unknown name', { servise: 1 }],
    ['an unknown name inside', { client: { url: 'x', ulr: 'y' } }],
    ['a wrong type', { prefix: 7 }],
    ['a wrong choice', { features: { only: ['cron'] } }],
    ['a number that is too large', { apis: { a: { timeout: 1e9 } } }],
    ['a part of a number', { client: { url: 'x', keepAlive: 1.5 } }],
    ['a wrong name', { listeners: { 'a.b': {} } }],
    ['true as dedupe', { listeners: { a: { dedupe: true } } }],
    ['dedupe without a number', { listeners: { a: { dedupe: {} } } }],
    ['an empty list', { client: { url: [] } }],
    ['no URL', { client: {} }],
    ['no service', { service: undefined }],
    ['a long process', { process: 'x'.repeat(201) }],
    ['a control character', { process: 'a\n' }],
  ])('[B16] ajv judges as loadConfig() does: %s', async (_, given) => {
    const value = { service: 'shop', client: { url: 'mqtt://localhost' }, ...given }
    const isTaken = await load({ ...value, hooks: [] }).then(
      () => true,
      () => false,
    )
    expect(validate(JSON.parse(JSON.stringify(value)))).toBe(isTaken)
  })
})
