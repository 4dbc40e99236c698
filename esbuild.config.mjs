/**
 * Bundles src/ into one file for each entry and one for what they share: `node esbuild.config.mjs
 * FOLDER`. A program that imports a hundred files needs twice as long to start.
 */
import { build } from 'esbuild'

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: [
    'src/index.ts',
    'src/client/index.ts',
    'src/disk/index.ts',
    'src/testing/index.ts',
    'src/cli/main.ts',
  ],
  outdir: process.argv[2],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
