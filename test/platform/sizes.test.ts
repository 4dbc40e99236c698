/**
 * How much does a page load? The bundles of the web flavour, minified and compressed by gzip, may
 * only shrink: each bound is what was reached, and 2 %.
 */
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

// Those of Bun and Deno make 0.1 % more of the same bundle.
test.skipIf('Bun' in globalThis || 'Deno' in globalThis).each([
  // The budget is 60 kB for the engine, and 70 kB with the client.
  ['eventloop, publish, subscribe', 'index', 84_900],
  ['createClient', 'client/index', 124_400],
])('a bundle of { %s } for a page is within its bound', async (names, entry, gzipMax) => {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export { ${names} } from './${entry}.ts'`,
      resolveDir: 'src',
      loader: 'ts',
    },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ tsconfig: 'tsconfig.web.json', write: false, metafile: true, legalComments: 'none' },
  })
  const bytes = gzipSync(outputFiles![0]!.contents, { level: 9 }).length
  expect(bytes).toBeLessThan(gzipMax)
  expect(bytes, 'the bound can be lowered').toBeGreaterThan(gzipMax * 0.93)
  const files = Object.keys(metafile!.inputs)
  expect(files.filter((path) => /platform\/node|^node:/.test(path))).toEqual([])
  expect(files).toContain('src/platform/web/transport.ts')
})
