import { defineConfig } from 'vitest/config'
import { aliasesOf } from './vitest.config.ts'

/** Tests that drive pages of a real browser from Node: a part of `npm run test:browser`. */
export default defineConfig({
  resolve: { alias: aliasesOf('node') },
  test: { include: ['test/browser/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 60_000 },
})
