/**
 * `npm run test:browser`: the tests that need no Node, in a real browser, with the flavour of the
 * engine that browsers get.
 */
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { aliasesOf } from './vitest.config.ts'

export default defineConfig({
  resolve: { alias: aliasesOf('web') },
  test: {
    include: ['test/protocol/**/*.test.ts'],
    exclude: ['test/protocol/coupling.test.ts', 'test/protocol/purity.test.ts'],
    setupFiles: ['test/support/seed.ts'],
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] } }),
      instances: [{ browser: 'chromium' }],
    },
    testTimeout: 120_000,
  },
})
