import { defineConfig } from 'vitest/config'
import { aliasesOf } from './vitest.config.ts'

/** Tests against real brokers, which must be installed: `npm run test:brokers`. */
export default defineConfig({
  resolve: { alias: aliasesOf('node') },
  test: {
    include: ['test/brokers/**/*.test.ts'],
    globalSetup: ['test/support/built.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
})
