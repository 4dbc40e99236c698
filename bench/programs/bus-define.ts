/**
 * An API of RPCS rpcs with zod schemas is defined, the first one of its process: the ms that
 * defineApi() took. The schemas are made before. bus-define RPCS
 */
import { z } from 'zod'
import { defineApi } from '../../src/bus/index.ts'

const length = Number(process.argv[2])
const rpcs = Object.fromEntries(
  Array.from({ length }, (_, i) => {
    const input = z.object({ id: z.string(), count: z.number() })
    return [`rpc${i}`, { input, output: z.boolean(), errors: { LOCKED: input } }]
  }),
)
const began = performance.now()
const api = defineApi({ name: 'wide', version: '1.0.0', rpcs })
const ms = performance.now() - began
if (Object.keys(api.rpcs).length !== length) throw new Error('an rpc is missing')
console.log(JSON.stringify({ ms }))
process.exit(0)
