/**
 * Goal: the reducers stay apart. Method: reads the imports of every file of src/protocol, those of
 * types included, and compares them with a table. A new file, or a new import, fails until it is
 * entered here.
 *
 * The ground is data and tools. A reducer imports the ground and reducers of its own family. The
 * couplers import reducers, each only couplers that stand before it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const folder = fileURLToPath(new URL('../../src/protocol/', import.meta.url))
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length))
  .sort()

function importsOf(file: string): string[] {
  const text = readFileSync(`${folder}${file}.ts`, 'utf8')
  return [...text.matchAll(/from '\.\/([a-z-]+)\.ts'/g)].map(([, name]) => name!).sort()
}

const GROUND: Readonly<Record<string, string>> = {
  facts: '',
  packets: 'facts',
  deviations: '',
  config: 'deviations facts',
  'packet-table': '',
  'session-state': 'facts packet-table',
  'progress-state': 'facts',
  'subscribing-state': 'facts',
  state: 'config deviations facts packet-table progress-state session-state subscribing-state',
  contract: 'config deviations facts progress-state state',
  sizes: '',
  topics: 'sizes',
  'reason-codes': '',
  effects: 'contract',
  copies: 'session-state state',
  draft: 'config contract copies effects facts packet-table progress-state session-state state',
  lifecycle: 'contract draft state',
  handshake: 'config facts reason-codes sizes state',
  pauses: 'draft state',
  refusals: 'draft facts state',
  tolerance: 'deviations draft facts',
  quota: 'draft facts tolerance',
}

/** The reducers by family. */
const REDUCERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  requests: {
    window: 'config draft facts progress-state session-state state',
    settling: 'draft facts packet-table refusals session-state',
    opening: 'draft facts pauses session-state window',
    subscribing: 'draft facts opening packet-table session-state state subscribing-state window',
    outgoing: 'draft facts opening refusals session-state settling subscribing window',
    resuming: 'draft facts packet-table refusals session-state settling subscribing window',
    acknowledgements:
      'draft facts outgoing reason-codes session-state settling subscribing tolerance window',
  },
  messages: { incoming: 'draft facts packet-table quota session-state state tolerance' },
  subscriptions: {
    subscriptions: 'draft facts packet-table reason-codes refusals session-state sizes',
    renewing: 'draft facts session-state subscriptions topics',
  },
  reading: { flow: 'draft facts quota state' },
  'keep-alive': { keepalive: 'draft state' },
  authentication: { authentication: 'draft facts reason-codes state' },
  diverting: { divert: 'config draft facts refusals session-state state' },
  servers: { servers: 'draft facts state' },
  delay: { reconnect: 'config facts state' },
  versions: { versions: 'draft facts lifecycle' },
}

/** The couplers, in the order in which they may import each other. */
const COUPLERS: Readonly<Record<string, string>> = {
  suspicion:
    'draft facts packet-table progress-state refusals renewing session-state settling subscriptions topics window',
  closing:
    'draft facts incoming lifecycle renewing resuming servers state subscribing suspicion window',
  connecting:
    'authentication closing draft facts handshake incoming keepalive lifecycle outgoing renewing resuming servers state subscribing subscriptions suspicion tolerance versions window',
  retrying:
    'closing config connecting contract draft facts lifecycle reconnect renewing servers state suspicion versions',
  receiving:
    'acknowledgements authentication closing connecting draft facts handshake incoming keepalive outgoing reason-codes subscriptions suspicion tolerance',
  timers:
    'closing connecting contract divert draft facts flow incoming keepalive outgoing pauses receiving renewing retrying settling state subscribing subscriptions suspicion versions window',
  initial:
    'config facts handshake keepalive packet-table progress-state renewing session-state state',
  queries: 'divert facts flow state window',
  engine:
    'authentication closing connecting contract divert draft facts flow incoming keepalive outgoing pauses receiving retrying settling state timers tolerance versions window',
}

const TABLE = Object.assign({}, GROUND, ...Object.values(REDUCERS), COUPLERS) as typeof GROUND

test('every file of src/protocol is in the table', () => {
  expect(Object.keys(TABLE).sort()).toEqual(files)
})

test.each(files)('%s imports what the table says', (file) => {
  expect(importsOf(file).join(' ')).toBe(TABLE[file])
})

describe('the table keeps the rule', () => {
  const named = (list: string) => list.split(' ').filter((name) => name !== '')

  test.each(Object.entries(GROUND))('%s: the ground imports the ground', (_, list) => {
    for (const name of named(list)) expect(Object.keys(GROUND)).toContain(name)
  })

  const reducers = Object.values(REDUCERS).flatMap((family) =>
    Object.entries(family).map(([name, list]) => [name, list, family] as const),
  )
  test.each(reducers)('%s: a reducer imports the ground and its family', (_, list, family) => {
    const allowed = [...Object.keys(GROUND), ...Object.keys(family)]
    for (const name of named(list)) expect(allowed).toContain(name)
  })

  test.each(Object.entries(COUPLERS))(
    '%s: a coupler imports earlier couplers only',
    (file, list) => {
      const order = Object.keys(COUPLERS)
      for (const name of named(list)) {
        if (order.includes(name)) expect(order.indexOf(name)).toBeLessThan(order.indexOf(file))
      }
    },
  )
})
