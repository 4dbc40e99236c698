import { defineConfig } from 'vitest/config'
import { aliasesOf } from './vitest.config.ts'

/** Tests that need a whole machine: they kill many processes, or measure how fast a server is. */
const ALONE = [
  'test/brokers/bus-kill.test.ts',
  'test/brokers/cluster.test.ts',
  'test/brokers/drill.test.ts',
  'test/brokers/faults.test.ts',
  'test/brokers/kill.test.ts',
  'test/brokers/lifecycle.test.ts',
  'test/brokers/presence-kill.test.ts',
  'test/brokers/slow.test.ts',
]

/**
 * Tests against real brokers, which must be installed: `npm run test:brokers`. Most of them wait for
 * a broker, so that two files run at once; then those that need a whole machine, one after another.
 */
export default defineConfig({
  test: {
    globalSetup: ['test/support/built.ts'],
    projects: [
      projectOf('two at once', 2, ['test/brokers/**/*.test.ts'], ALONE),
      projectOf('alone', 1, ALONE, []),
    ],
  },
})

function projectOf(name: string, maxWorkers: number, include: string[], exclude: string[]) {
  return {
    resolve: { alias: aliasesOf('node') },
    test: {
      ...{ name, include, exclude, maxWorkers },
      // The projects run one after the other.
      sequence: { groupOrder: 2 - maxWorkers },
      testTimeout: 300_000,
      hookTimeout: 60_000,
    },
  }
}
