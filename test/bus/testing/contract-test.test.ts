/**
 * Goal: an implementation that keeps its API passes `contractTest()`, and each way to break it is
 * found and shown small. Method: a table of implementations that are wrong in one way.
 */

import * as fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type BusOptions, defineApi, type Implementation } from '../../../src/bus/index.ts'
import { type ContractOptions, contractTest } from '../../../src/bus/testing/index.ts'

const shop = defineApi({
  name: 'shop',
  version: '1.0.0',
  rpcs: {
    order: {
      input: z.object({
        items: z.array(z.object({ id: z.string().min(1), count: z.int().min(1).max(99) })).min(1),
        note: z.string().optional(),
      }),
      output: z.object({ total: z.number().min(0) }),
      errors: { TOO_MANY: z.object({ most: z.number() }) },
    },
    double: { input: { type: 'integer', minimum: 0 }, output: { type: 'integer', minimum: 0 } },
    reset: {},
  },
})

type Shop = Implementation<typeof shop.rpcs>

const right: Shop = {
  order: ({ items }, call) => {
    if (items.length > 3) call.fail('TOO_MANY', { most: 3 })
    return { total: items.reduce((sum, { count }) => sum + count, 0) }
  },
  double: (value) => Number(value) * 2,
  reset: async () => {
    await new Promise((resolve) => setTimeout(resolve, 1))
  },
}

const failureOf = (implementation: Partial<Shop>, options: ContractOptions = {}) =>
  contractTest(shop, { ...right, ...implementation }, { seed: 7, ...options }).then(
    () => 'it passed',
    (error: unknown) => (error as Error).message,
  )

describe('contractTest', () => {
  test('passes what keeps its contract, and has tried everything', async () => {
    const reports = await contractTest(shop, right, { seed: 7, runs: 60 })
    expect(reports.map(({ rpc }) => rpc)).toEqual(['order', 'double', 'reset'])
    for (const { rpc, answered, declared, refused } of reports) {
      expect(answered + declared + refused).toBe(60)
      expect(answered, rpc).toBeGreaterThan(6)
      expect(refused, rpc).toBeGreaterThan(6)
      if (rpc === 'order') expect(declared).toBeGreaterThan(0)
    }
  })

  test.each<[string, Partial<Shop>, RegExp]>([
    [
      'an error that is not declared',
      {
        order: ({ note }) => {
          if (note !== undefined) throw new Error('notes are for later')
          return { total: 1 }
        },
      },
      /^shop order: a valid input was not answered with a valid output: .*notes are for later\n {2}input: \{"items":\[\{"id":" ","count":1\}\],"note":""\}\n/,
    ],
    [
      'an output that does not fit',
      { order: ({ items }) => ({ total: items.length > 1 ? -1 : 1 }) },
      /does not fit its schema at total.*\n {2}input: \{"items":\[\{[^{}]*\},\{[^{}]*\}\]\}\n/,
    ],
    [
      'a text of JSON where a number is due',
      { double: (value) => (Number(value) > 1000 ? String(value) : 1) },
      /^shop double: .*\n {2}input: 1001\n/,
    ],
  ])('finds %s, and shows the smallest input', async (_, implementation, message) => {
    const said = await failureOf(implementation)
    expect(said).toMatch(message)
    const [, only, seed, path] = /only: \['(\w+)'\], seed: (-?\d+), path: '([\d:]+)'/.exec(said)!
    // What it says finds the same failure again.
    const again = { only: [only!], seed: Number(seed), path: path! }
    expect((await failureOf(implementation, again)).split('\n')[1]).toBe(said.split('\n')[1])
  })

  test('finds what a hook lets pass, and what it executes', async () => {
    const repair: BusOptions['hooks'] = [
      {
        execute: (context, next) => {
          context.input = 1
          return next()
        },
      },
    ]
    const options = { only: ['double'], bus: { hooks: repair } }
    expect(await failureOf({}, options)).toMatch(
      /^shop double: an input that is not valid was executed\n {2}input: /,
    )
    const answer: BusOptions['hooks'] = [{ execute: () => 1 }]
    expect(await failureOf({}, { only: ['double'], bus: { hooks: answer } })).toMatch(
      /an input that is not valid got an answer, and not BAD_REQUEST/,
    )
  })

  test('takes arbitraries, and asks for them where none can be made', async () => {
    const api = defineApi({
      name: 'older',
      version: '1.0.0',
      rpcs: { f: { input: v.string(), output: v.number() } },
    })
    const implementation = { f: (text: string) => text.length }
    await expect(contractTest(api, implementation)).rejects.toThrow(
      'contractTest: older f: the schemas of valibot cannot be read as JSON Schemas; ' +
        'give an arbitrary in `inputs: { f: … }`',
    )
    const inputs = { f: fc.oneof(fc.string(), fc.integer()) }
    const [report] = await contractTest(api, implementation, { inputs, runs: 20, seed: 7 })
    expect(report!.answered + report!.refused).toBe(20)
    expect(report!.answered).toBeGreaterThan(0)
  })

  test.each<[string, ContractOptions, string]>([
    ['an unknown option', { run: 1 } as never, 'contractTest has no option "run"; allowed: runs'],
    ['no runs', { runs: 0 }, 'runs must be a whole number from 1'],
    ['an unknown rpc', { only: ['constructor'] }, 'shop has no rpc "constructor"; it has: order'],
    ['inputs of an unknown rpc', { inputs: { f: null } }, 'shop has no rpc "f"'],
    ['a path for several', { path: '1' }, 'path belongs to one rpc; name it in `only`'],
  ])('refuses %s', async (_, options, message) => {
    expect(await failureOf({}, options)).toContain(message)
  })

  test('refuses an implementation with a hole', async () => {
    expect(await failureOf({ double: undefined as never })).toContain('needs a function "double"')
  })
})
