/** What the services of the benchmark say: 64 bytes of JSON there and back, and what describes it. */
import { z } from 'zod'
import { defineApi } from '../../src/bus/index.ts'

export const message = z.object({ text: z.string() })
export const MESSAGE = { text: 'A'.repeat(53) }

/** With the schemas of zod, which both sides validate with. */
export const typed = defineApi({
  name: 'bench',
  version: '1.0.0',
  rpcs: { ask: { input: message, output: message } },
  events: { happened: { payload: message } },
})

/** Every value fits. */
export const untyped = defineApi({
  name: 'plain',
  version: '1.0.0',
  rpcs: { ask: { input: {}, output: {} } },
})

/** How many events are fired together. */
export const AT_ONCE = 1000
