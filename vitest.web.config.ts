import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { aliasesOf, common } from './vitest.config.ts'

/**
 * The tests that need no Node below them, with the files of browsers instead of Node's: `npm run
 * test:web`. They run on Node, which is the cheapest way to see that both flavours do the same.
 */
export default defineConfig({
  ...common,
  resolve: {
    alias: {
      ...aliasesOf('web'),
      '#transport': fileURLToPath(new URL('test/support/web-transport.ts', import.meta.url)),
    },
  },
  test: {
    ...common.test,
    setupFiles: [
      ...['test/support/seed.ts', 'test/support/bytes-as-text.ts', 'test/support/not-on-web.ts'],
      'test/support/indexed-db.ts',
    ],
    include: [
      'test/protocol/**/*.test.ts',
      'test/promises/**/*.test.ts',
      'test/codec/**/*.test.ts',
      'test/requests/**/*.test.ts',
      'test/loop/**/*.test.ts',
      'test/options/**/*.test.ts',
      'test/connection/**/*.test.ts',
      'test/testing/**/*.test.ts',
      'test/client/**/*.test.ts',
      'test/simulation/**/*.test.ts',
      'test/platform/**/*.test.ts',
      'test/disk/spool*.test.ts',
      'test/disk/session.test.ts',
      ...['test/disk/web/**/*.test.ts', 'test/bus/web/**/*.test.ts'],
    ],
    exclude: [
      // TLS settings, TCP and TLS sockets are Node's.
      'test/options/tls.test.ts',
      'test/connection/transport/first-contact.test.ts',
      // They dial servers of Node, or give its streams to MQTT.js.
      ...['test/client/retained-newcomers.test.ts', 'test/testing/clients.test.ts'],
      // They make engines and buses of their own, of Node's flavour.
      ...['test/simulation/faults.test.ts', 'test/simulation/bus-faults.test.ts'],
      // A rest needs a stream that stops reading immediately, as only Node's sockets do.
      'test/connection/rest.test.ts',
      // What a bundle of Node's flavour holds, and the pool of Node's Buffers.
      'test/platform/pool.test.ts',
      'test/client/tree-shaking.test.ts',
    ],
  },
})
