import { defineConfig } from 'vitest/config'
import { common, LONG } from './vitest.config.ts'

/** The tests that take minutes and need nothing but this package: `npm run test:long`. */
export default defineConfig({
  ...common,
  test: { ...common.test, include: [...LONG], exclude: [] },
})
