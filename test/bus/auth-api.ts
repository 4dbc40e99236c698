/** An API that the tests of the bus share, and what its service answers. */
import { z } from 'zod'
import { defineApi } from '../../src/bus/index.ts'

export const auth = defineApi({
  name: 'auth',
  version: '1.2.0',
  rpcs: {
    check: {
      input: z.object({ name: z.string(), at: z.string().transform((at) => new Date(at)) }),
      output: z.object({ ok: z.boolean(), since: z.string().transform(Number) }),
      errors: { LOCKED: z.object({ until: z.string().transform(Number) }), GONE: z.null() },
    },
    echo: { input: z.unknown(), output: z.unknown() },
    length: { input: z.string(), output: z.number(), idempotent: true },
    reset: {},
  },
  events: {
    registered: { payload: z.object({ name: z.string(), age: z.string().transform(Number) }) },
    cleared: {},
  },
})

/** What a service answers if a test says nothing else. */
export const answers = {
  check: ({ at }: { readonly at: Date }) => ({ ok: true, since: String(at.getTime()) }),
  echo: (value: unknown) => value,
  length: (text: string) => text.length,
  reset: () => {},
}
