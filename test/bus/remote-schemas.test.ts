/**
 * Goal: with `validate.remote` a value that the other side has said not to take or make is refused,
 * with the place and whose schema it is, and what was not checked is reported once. Method: buses
 * at a broker in memory, with documents that were put there by hand.
 */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type Bus,
  type BusOptions,
  defineApi,
  dumpSchema,
  type JsonSchema,
  schemaChecker,
  schemaText,
} from '../../src/bus/index.ts'
import { BusWorld } from './bus-world.ts'

interface ShopSchemas {
  readonly input?: JsonSchema
  readonly output?: JsonSchema
  readonly gone?: JsonSchema
  readonly payload?: JsonSchema
}

/** The API of both sides takes anything, so that what is refused is refused by a document. */
const shopOf = ({ input = {}, output = {}, gone = {}, payload = {} }: ShopSchemas = {}) =>
  defineApi({
    ...{ name: 'shop', version: '1.0.0' },
    rpcs: { buy: { input, output, errors: { GONE: gone } }, look: { input } },
    events: { sold: { payload } },
  })
const shop = shopOf()
const texts = { type: 'string' }
const TOPIC = 'bus/shop/v1/schema/web'
const REMOTE = { outgoing: true, incoming: true, remote: true }

let w: BusWorld
// Time is virtual, and to load a package takes real time.
beforeAll(() => schemaChecker())
beforeEach(() => {
  w = new BusWorld()
})
afterEach(() => w.end())

function lay(schemas: ShopSchemas, service = 'web'): void {
  const text = schemaText(dumpSchema(shopOf(schemas), { service }))
  w.broker.publish(`bus/shop/v1/schema/${service}`, text, { retain: true })
}

/** A service that answers what it is given, and fails with what it is given in `gone`. */
async function serve(): Promise<Bus> {
  const bus = w.bus('web')
  bus.serve(shop, {
    buy: (input, call) => {
      const gone = Object(input)['gone'] as unknown
      return gone === undefined ? input : call.fail('GONE', gone)
    },
    look: () => {},
  })
  return w.run(bus)
}

const caller = (validate: BusOptions['validate'] = REMOTE) => w.bus('other', { validate })
const buy = (bus: Bus, input: unknown) => w.value(bus.api(shop).buy(input, { timeout: 2000 }), 3000)
const refused = (bus: Bus, input: unknown) =>
  w.error(bus.api(shop).buy(input, { timeout: 2000 }), 3000)
const requests = () =>
  w.broker.received.filter(
    ({ packet }) => packet.cmd === 'publish' && packet.topic.includes('/rpc/'),
  )
const unchecked = () => w.warnings.filter(({ code }) => code === 'SCHEMA_UNCHECKED')

describe('[B14] with validate.remote', () => {
  test('an input that the service does not take is refused, and not sent', async () => {
    lay({ input: { type: 'object', properties: { tea: { properties: { cups: texts } } } } })
    await serve()
    const bus = caller()
    expect(await refused(bus, { tea: { cups: 4711 } })).toMatchObject({
      ...{ name: 'UsageError', code: 'INVALID_INPUT' },
      message:
        'shop buy(): the input does not fit the schema that the service web has at the server, ' +
        'at tea.cups; see `issues`',
      issues: [{ path: ['tea', 'cups'], message: expect.stringContaining('"string"') }],
    })
    expect(requests()).toEqual([])
    expect(await buy(bus, { tea: { cups: 'two' } })).toEqual({ tea: { cups: 'two' } })
    expect(w.codes()).toEqual([])
  })

  test('what is checked is what travels', async () => {
    lay({ input: { required: ['at'], properties: { at: texts, no: false } } })
    await serve()
    const sent = Object.freeze({ at: new Date(0), no: undefined })
    expect(await buy(caller(), sent)).toEqual({ at: '1970-01-01T00:00:00.000Z' })
  })

  test.each([
    ['an answer', { output: texts }, 7, 'the answer'],
    ['the data of an error', { gone: texts }, { gone: 7 }, 'the data of the error GONE'],
  ])('%s that the service says not to give is refused', async (_, schemas, input, part) => {
    lay(schemas)
    await serve()
    expect(await refused(caller(), input)).toMatchObject({
      ...{ name: 'ProtocolError', code: 'INVALID_RESPONSE', issues: [{ path: [] }] },
      message: expect.stringContaining(`shop buy(): ${part} does not fit the schema that the`),
    })
    expect(w.codes()).toEqual([])
  })

  test('an event that the service says not to fire is refused', async () => {
    lay({ payload: { properties: { cups: { minimum: 1 } } } })
    const web = await serve()
    const bus = caller()
    const heard: unknown[] = []
    bus.api(shop).sold.listen('count', { onError: 'skip' }, ({ value }) => void heard.push(value))
    await w.run(bus)
    await w.clock.advance(1000)
    for (const cups of [1, 0, 2]) {
      await w.value(web.api(shop).sold.fire({ cups }), 1000)
      await w.clock.advance(2000)
    }
    expect(heard).toEqual([{ cups: 1 }, { cups: 2 }])
    const [warning] = w.warnings.filter(({ code }) => code === 'EVENT_FAILED')
    expect(warning!.message).toContain('that the service web has at the server, at cups')
  })

  test('incoming: false and outgoing: false are about the schemas in code alone', async () => {
    lay({ input: texts })
    await serve()
    const bus = caller({ outgoing: false, incoming: false, remote: true })
    expect(await refused(bus, 1)).toMatchObject({ code: 'INVALID_INPUT' })
  })

  test('it may be for one API alone, and without it nothing is asked', async () => {
    lay({ input: texts })
    await serve()
    const asked = () =>
      w.broker.received.filter(
        ({ packet }) =>
          packet.cmd === 'subscribe' &&
          packet.subscriptions.some(({ topic }) => topic.includes('/schema/')),
      )
    expect(await buy(caller({}), 1)).toBe(1)
    expect(asked()).toEqual([])
    const one = w.bus('one', { apis: { shop: { validate: { remote: true } } } })
    expect(await refused(one, 1)).toMatchObject({ code: 'INVALID_INPUT' })
    expect(asked()).not.toEqual([])
  })

  test('documents are read once for many calls, and again before a value is refused', async () => {
    lay({ input: texts })
    await serve()
    const bus = caller()
    const asked = () =>
      w.broker.packets('subscribe').filter((packet) => JSON.stringify(packet).includes('/schema/+'))
    for (const text of ['a', 'b', 'c']) expect(await buy(bus, text)).toBe(text)
    expect(asked()).toHaveLength(1)
    await w.clock.advance(5000)
    // The next version of the service takes more.
    lay({ input: {} })
    expect(await buy(bus, 1)).toBe(1)
    expect(asked()).toHaveLength(2)
  })

  test('of two services one has to take it', async () => {
    lay({ input: texts })
    lay({ input: { type: 'number' } }, 'other-web')
    await serve()
    const bus = caller()
    expect(await buy(bus, 1)).toBe(1)
    expect(await refused(bus, null)).toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('[B14] with validate.remote what is not checked passes, and is reported once:', () => {
  const rows: readonly (readonly [string, () => void, RegExp])[] = [
    ['there is no document', () => {}, /no schema document is there/],
    ['it has not this rpc', () => layText(textOf({ rpcs: {} })), /no schema document has this/],
    ['it is 1 MB', () => layText('x'.repeat(1_000_000)), /cannot be read/],
    ['it is nested 10,000 deep', () => layText('['.repeat(10_000)), /cannot be read/],
    ['it is forged', () => layText(textOf({}).replace('"web"', '"wob"')), /cannot be read/],
    ['its $ref goes in a circle', () => lay({ input: { $ref: '#' } }), /circles/],
    ['it has a pattern', () => lay({ input: { pattern: '^(a+)+$' } }), /in full .*: pattern of/],
    ['it is of another draft', () => lay({ input: { $schema: 'x:y' } }), /not known here/],
  ]
  const layText = (text: string) => w.broker.publish(TOPIC, text, { retain: true })
  const textOf = (changes: object) => {
    const api = defineApi({ name: 'shop', version: '1.0.0', ...changes })
    return schemaText(dumpSchema(api, { service: 'web' }))
  }

  test.each(rows)('%s', async (_, prepare, reason) => {
    prepare()
    await serve()
    const bus = caller()
    for (let count = 0; count < 3; count++) {
      await w.clock.advance(70_000)
      expect(await w.value(bus.api(shop).look(`${'a'.repeat(40)}!`), 3000)).toBeUndefined()
    }
    const said = unchecked().map(({ message }) => message)
    expect(said.filter((message) => message.includes('look(): the input'))).toHaveLength(1)
    expect(said[0]).toMatch(/^shop look\(\): the input is not checked /)
    expect(said[0]).toMatch(reason)
    expect(w.codes().filter((code) => code === 'SCHEMA_UNREADABLE').length).toBeLessThan(2)
  })

  test('with trustPatterns patterns are run', async () => {
    lay({ input: { pattern: '^a+$' } })
    await serve()
    const bus = caller({ ...REMOTE, trustPatterns: true })
    expect(await buy(bus, 'aa')).toBe('aa')
    expect(await refused(bus, 'ab')).toMatchObject({
      issues: [{ path: [], message: 'has another pattern' }],
    })
    expect(w.codes()).toEqual([])
  })

  test.each([
    ['the server does not permit it', () => faults().refuse(ASKING, 0x87, ALWAYS)],
    ['the server does not answer', () => faults().drop(ASKING, ALWAYS)],
  ])('%s', async (_, prepare) => {
    prepare()
    await serve()
    const bus = w.bus('other', { validate: REMOTE, timeout: 200 })
    for (let count = 0; count < 3; count++) expect(await buy(bus, 1)).toBe(1)
    expect(w.codes().filter((code) => code === 'SCHEMA_UNREADABLE')).toHaveLength(1)
    expect(unchecked()).toHaveLength(2)
  })
})

const ASKING = { cmd: 'subscribe', topic: 'bus/shop/v1/schema/+' } as const
const ALWAYS = { times: Number.POSITIVE_INFINITY }
const faults = () => w.broker.faults

describe('[B14] a call with validate.remote', () => {
  test('ends in time, and can be given up, if the documents do not come', async () => {
    await serve()
    faults().drop(ASKING, ALWAYS)
    const bus = caller()
    const started = w.clock.now()
    const late = bus.api(shop).buy(1, { timeout: 500 })
    expect(await w.error(late, 501)).toMatchObject({ code: 'TIMEOUT' })
    expect(w.clock.now() - started).toBeLessThan(502)
    const giving = new AbortController()
    const given = bus.api(shop).buy(1, { signal: giving.signal })
    giving.abort(new Error('enough'))
    expect(await w.error(given, 1)).toMatchObject({ message: 'enough' })
    expect(requests()).toEqual([])
  })

  test('options that are none are refused', () => {
    for (const validate of [{ remote: 'yes' }, { trustPatterns: 1 }, { removed: true }]) {
      expect(() => caller(validate as never)).toThrow(
        expect.objectContaining({ name: 'UsageError' }),
      )
    }
  })
})
