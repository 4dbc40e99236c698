/**
 * `npm run test:browser`: the tests that need no Node, in a real browser, with the flavour of the
 * engine that browsers get.
 */
import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { CHROMIUM } from './test/support/chromium-path.ts'
import { aliasesOf } from './vitest.config.ts'

const shim = (name: string) =>
  fileURLToPath(new URL(`test/browser/shims/${name}.ts`, import.meta.url))

export default defineConfig({
  define: { 'process.env': '{}' },
  resolve: {
    alias: {
      ...aliasesOf('web'),
      '#transport': fileURLToPath(new URL('test/support/web-transport.ts', import.meta.url)),
      'node:stream': 'readable-stream',
      stream: 'readable-stream',
      'node:buffer': 'buffer',
      // Else readable-stream brings one whose nextTick() is a timer.
      'process/': shim('process'),
      'node:events': shim('events'),
      'node:util': shim('util'),
      'node:crypto': shim('crypto'),
      'node:zlib': shim('zlib'),
      ...Object.fromEntries(
        ['child_process', 'diagnostics_channel', 'fs', 'net', 'url'].map((name) => [
          `node:${name}`,
          shim('absent'),
        ]),
      ),
    },
  },
  optimizeDeps: {
    include: [
      'mqtt-packet',
      'buffer',
      'readable-stream',
      'fast-check',
      'it-pushable',
      '@smithy/core/event-streams',
    ],
  },
  test: {
    include: [
      'test/protocol/**/*.test.ts',
      'test/promises/**/*.test.ts',
      'test/codec/**/*.test.ts',
      'test/event-stream/**/*.test.ts',
    ],
    exclude: [
      // They read sources.
      ...['test/protocol/coupling.test.ts', 'test/protocol/purity.test.ts'],
      // They read files of packets.
      ...['test/codec/conformance.test.ts', 'test/codec/vectors.test.ts'],
      'test/event-stream/published.test.ts',
      // They bundle the package, open HTTP/2 servers of Node, and compare with its zlib.
      ...['test/event-stream/size.test.ts', 'test/event-stream/carriers.test.ts'],
      'test/event-stream/crc32.test.ts',
    ],
    setupFiles: [
      ...['test/browser/shims/globals.ts', 'test/browser/not-in-browser.ts'],
      ...['test/support/seed.ts', 'test/support/bytes-as-text.ts', 'test/support/not-on-web.ts'],
    ],
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: { executablePath: CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
      }),
      instances: [{ browser: 'chromium' }],
    },
    testTimeout: 120_000,
  },
})
