/**
 * What does a bundle hold of the package, if its program imports one name? Another bundler gets
 * what esbuild.config.mjs made, and leaves out what the program does not use.
 */
import { build } from 'esbuild'
import { expect, test } from 'vitest'

/** Bundles a program that imports names of `it-mqtt/client`, minified, without other packages. */
async function bundle(names: string) {
  const folder = process.env['IT_MQTT_BUILT'] as string
  const { metafile, outputFiles } = await build({
    stdin: {
      contents: `import { ${names} } from './client/index.js'\nconsole.log(${names})`,
      resolveDir: folder,
    },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    metafile: true,
    write: false,
    outdir: folder,
  })
  const [output] = Object.values(metafile.outputs)
  return {
    bytes: outputFiles[0]!.contents.length,
    imports: output!.imports.map(({ path }) => path),
  }
}

test.each([
  { names: 'topic', bytesMax: 12_500 },
  { names: 'json, topic', bytesMax: 12_500 },
  { names: 'text', bytesMax: 4_800 },
  { names: 'createClient', bytesMax: 375_000 },
])('a bundle of $names has $bytesMax bytes at most', async ({ names, bytesMax }) => {
  const { bytes } = await bundle(names)
  expect(bytes).toBeLessThan(bytesMax)
  // Something is there, or the bundle would be small for another reason.
  expect(bytes).toBeGreaterThan(bytesMax * 0.8)
})

test('a bundle of topic imports nothing, not even of Node', async () => {
  const { imports } = await bundle('json, topic')
  expect(imports).toEqual([])
})

test('a bundle of createClient imports four packages and built-in modules', async () => {
  const { imports } = await bundle('createClient')
  const others = imports.filter((path) => !path.startsWith('node:'))
  const packages = others.map((path) => path.split('/')[0])
  expect([...new Set(packages)].sort()).toEqual([
    'abort-controller-x',
    'it-pushable',
    'p-retry',
    'ws',
  ])
})
