import { defineConfig } from 'vitest/config'

/** Tests against real brokers, which must be installed: `npm run test:brokers`. */
export default defineConfig({
  test: {
    include: ['test/brokers/**/*.test.ts'],
    globalSetup: ['test/support/built.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
})
