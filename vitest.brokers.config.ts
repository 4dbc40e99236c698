import { defineConfig } from 'vitest/config'

/** Long tests against real brokers: `npm run test:brokers`. readings.test.ts is run by name until it is known to be quick enough. */
export default defineConfig({
  test: {
    include: ['test/brokers/slow.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
})
