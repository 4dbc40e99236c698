/**
 * Goal: schemas are written, compared and exported from the command line, with its statuses.
 * Method: services at a broker in this process, modules and files, the command as another process.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineApi, dumpSchema, fromAsyncApi, loadSchema, schemaText } from '../../src/bus/index.ts'
import { broker, cli, type ListeningBroker } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'bus-schema-'))
afterAll(() => rmSync(folder, { recursive: true }))

const auth = (version: string, input: z.ZodType) =>
  defineApi({ name: 'auth', version, rpcs: { check: { input, output: z.boolean() } } })
const documentOf = (version: string, input: z.ZodType) =>
  dumpSchema(auth(version, input), { service: 'web' })
const narrow = documentOf('1.0.0', z.string())
const wide = documentOf('1.1.0', z.string().nullable())
const other = dumpSchema(defineApi({ name: 'shop/cart', version: '2.0.0' }), { service: 'web' })

function file(name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
  return path
}

/** A module without imports: what `defineApi()` returns is plain frozen data. */
const module = file(
  'apis.mjs',
  "const of = (name) => ({ name, version: '1.2.0', major: 1, description: '', events: {} })",
  "const rpcs = { check: { input: { type: 'string' } } }",
  'export const number = 7',
  "export const auth = Object.freeze({ ...of('auth'), rpcs })",
  "export default [Object.freeze({ ...of('other'), rpcs: {} }), auth]",
)

async function published(...documents: { api: string; text?: string }[]): Promise<ListeningBroker> {
  const peer = await broker(() => {}, { protocolVersions: [5, 4] })
  for (const [index, document] of documents.entries()) {
    const text = document.text ?? schemaText(document as never)
    const topic = `bus/${document.api}/v${document.api === 'auth' ? 1 : 2}/schema/web`
    peer.broker.publish(document.text === undefined ? topic : `bus/x/v${index}/schema/y`, text, {
      ...{ retain: true, qos: 1 },
    })
  }
  return peer
}

describe('[CLI] bus dumpschema', { timeout: 60_000 }, () => {
  test('[CLI] bus dumpschema: what services have published, all or of one API', async () => {
    const peer = await published(narrow, other, { api: 'x', text: '{"itm":1}' })
    const all = await cli(['bus', 'dumpschema', peer.url])
    expect(all.status).toBe(0)
    expect(all.stdout).toBe(`${schemaText(narrow)}\n${schemaText(other)}\n`)
    expect(all.stderr).toContain('bus/x/v2/schema/y is left out')
    const path = join(folder, 'dumped.ndjson')
    const one = await cli(['bus', 'dumpschema', peer.url, '--api', 'shop/cart', '-o', path])
    expect(one).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(loadSchema(readFileSync(path))).toEqual(other)
  })

  test('[CLI] bus dumpschema: the APIs that a module exports', async () => {
    const dumped = await cli(['bus', 'dumpschema', '--module', module, '--service', 'web'])
    expect(dumped).toMatchObject({ status: 0, stderr: '' })
    const documents = dumped.stdout
      .trimEnd()
      .split('\n')
      .map((line) => loadSchema(line))
    expect(documents.map(({ api, service }) => [api, service]).sort()).toEqual([
      ['auth', 'web'],
      ['other', 'web'],
    ])
    const one = await cli(['bus', 'dumpschema', '--module', module, '--api', 'other'])
    expect(loadSchema(one.stdout).service).toBe('module')
  })

  test('[CLI] bus dumpschema: nothing is status 1, and what cannot be used 2', async () => {
    const peer = await published()
    expect(await cli(['bus', 'dumpschema', peer.url, '--api', 'auth'])).toEqual({
      ...{ status: 1, stdout: '', stderr: 'it-mqtt: no schema of auth is published\n' },
    })
    for (const [words, message] of [
      [[peer.url, '--api', 'a/+'], '--api "a/+" is no name of an API'],
      [['--from', 'module'], 'the module is missing'],
      [['--from', 'broker', '--module', module], 'give one of them'],
      [['--module', join(folder, 'none.mjs')], 'cannot be loaded'],
      [['--module', module, '--api', 'none'], 'exports no API none'],
      [['--module', module, '--service', 'a/b'], '--service must be'],
      [['--module', file('empty.mjs', 'export {}')], 'nothing that defineApi() returned'],
      [[peer.url, '--prefix', '#'], '--prefix must be'],
    ] as const) {
      const ended = await cli(['bus', 'dumpschema', ...words])
      expect(ended, words.join(' ')).toMatchObject({ status: 2, stdout: '' })
      expect(ended.stderr).toContain(message)
    }
  })
})

describe('[CLI] bus diffschema', { timeout: 60_000 }, () => {
  const first = file('first.ndjson', schemaText(narrow))
  const second = file('second.ndjson', schemaText(wide), '', schemaText(other))

  test.each([
    [[first, first], 0, [{ api: 'auth', major: 1, result: 'same' }], ''],
    [
      [first, second],
      0,
      [{ result: 'compatible' }, { api: 'shop/cart', major: 2, result: 'compatible' }],
      'it-mqtt: auth v1: compatible\n',
    ],
    [
      [second, first],
      1,
      [{ result: 'breaking' }, { api: 'shop/cart', result: 'breaking' }],
      '/rpcs/check/input: sent by old callers: it may be of the type null\n',
    ],
    [[second, first, '--quiet'], 1, [{}, {}], ''],
  ] as const)('[CLI] bus diffschema: %j ends with %d', async (words, status, results, told) => {
    const ended = await cli(['bus', 'diffschema', ...words])
    expect(ended.status).toBe(status)
    const lines = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(lines).toMatchObject(results)
    expect(ended.stderr).toContain(told)
    if (told === '') expect(ended.stderr).toBe('')
  })

  test('[CLI] bus diffschema: --undeclared absent, standard input, an indented file', async () => {
    const open = (properties: object) => documentOf('1.0.0', z.object(properties as never))
    const before = file('open.json', JSON.stringify(open({ a: z.string() }), null, 2))
    const after = schemaText(open({ a: z.string(), b: z.string().optional() }))
    const any = await cli(['bus', 'diffschema', before, '-'], after)
    expect(any.status).toBe(0)
    expect(JSON.parse(any.stdout)).toMatchObject({ result: 'unknown' })
    const absent = await cli(['bus', 'diffschema', before, '-', '--undeclared', 'absent'], after)
    expect(JSON.parse(absent.stdout)).toMatchObject({ result: 'compatible' })
  })

  test('[CLI] bus diffschema: a file that cannot be used is status 2', async () => {
    for (const [words, message] of [
      [[first, join(folder, 'none')], 'cannot be read'],
      [[first, file('bad.ndjson', schemaText(narrow), '{"itm":2}')], 'bad.ndjson, line 2'],
      [
        [first, file('twice.ndjson', schemaText(narrow), schemaText(wide))],
        'auth v1 is there twice',
      ],
      [[first, file('blank.ndjson', '')], 'has no schema document'],
      [['-', '-'], 'only one of the files'],
    ] as const) {
      const ended = await cli(['bus', 'diffschema', ...words])
      expect(ended.stderr).toContain(message)
      expect(ended.stdout).toBe('')
      expect(ended.status, message).toBe(2)
    }
  })
})

describe('[CLI] bus asyncapi', { timeout: 60_000 }, () => {
  test('[CLI] bus asyncapi: of what is published, and of a module', async () => {
    const peer = await published(narrow, other)
    const words = ['--server', 'mqtts://ada:secret@example.com', '--title', 'All']
    const ended = await cli(['bus', 'asyncapi', peer.url, ...words])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    const document = JSON.parse(ended.stdout) as Record<string, unknown>
    expect(document).toMatchObject({
      ...{ asyncapi: '3.1.0', info: { title: 'All' } },
      servers: { main: { host: 'example.com', protocol: 'secure-mqtt' } },
    })
    expect(ended.stdout).not.toContain('secret')
    expect(dumpSchema(fromAsyncApi(document), { service: 'web' })).toEqual([narrow, other])
    const path = join(folder, 'api.json')
    const written = await cli(['bus', 'asyncapi', '--module', module, '--prefix', 'p', '-o', path])
    expect(written).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(readFileSync(path, 'utf8')).toContain('"p/auth/v1/rpc/check"')
  })

  test('[CLI] bus asyncapi: --envelope says which headers events have', async () => {
    const door = defineApi({ name: 'door', version: '2.0.0', events: { opened: {} } })
    const peer = await published(dumpSchema(door, { service: 'web' }))
    const ended = await cli(['bus', 'asyncapi', peer.url, '--envelope', 'cloudevents'])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(ended.stdout).toContain('"const": "door.v2.opened"')
    const wrong = await cli(['bus', 'asyncapi', peer.url, '--envelope', 'xml'])
    expect(wrong.status).toBe(2)
  })

  test('[CLI] bus asyncapi: a server that is none is status 2, and is not repeated', async () => {
    const ended = await cli(['bus', 'asyncapi', '--module', module, '--server', 'x:secret'])
    expect(ended.status).toBe(2)
    expect(ended.stderr).toContain('--server')
    expect(ended.stderr).not.toContain('secret')
  })
})
