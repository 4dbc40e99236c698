// The module of a service of `it-mqtt bus run`. It is copied beside the packages as npm installed them.
import { defineApi } from 'it-mqtt/bus'

const text = {
  '~standard': {
    version: 1,
    vendor: 'bench',
    validate: (value) =>
      typeof value === 'string' ? { value } : { issues: [{ message: 'must be a text' }] },
  },
}

export const bench = defineApi({
  name: 'bench',
  version: '1.0.0',
  rpcs: { ask: { input: text, output: text } },
})

export function register(bus) {
  bus.serve(bench, { ask: (input) => input })
}
