import { defineConfig } from 'vitest/config'
import config, { LONG } from './vitest.config.ts'

/** The tests that take minutes and need nothing but this package: `npm run test:long`. */
export default defineConfig({
  ...config,
  test: { ...config.test, include: [...LONG], exclude: [] },
})
