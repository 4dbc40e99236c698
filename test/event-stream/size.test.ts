/**
 * How much does a program pay that imports the codec of event streams, and does it import anything
 * else? It is bundled for a browser out of what the package has.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

/** 6 KB. */
const CODEC_BYTES_MAX = 6000
/** Typed events, carriers, signatures and bindings as well. */
const MODULE_BYTES_MAX = 13_000
const CODEC =
  '{ decodeMessage, decodeStream, encodeMessage, encodeMessageParts, encodeStream, header }'

async function bundle(names: string) {
  const folder = process.env['IT_MQTT_BUILT'] as string
  const { metafile, outputFiles } = await build({
    stdin: {
      contents: `export ${names} from './event-stream/index.js'`,
      resolveDir: folder,
    },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ packages: 'external', metafile: true, write: false, outdir: folder },
  })
  const [output] = Object.values(metafile.outputs)
  const bytes = gzipSync(outputFiles[0]!.contents, { level: 9 }).length
  return { bytes, imports: output!.imports.map(({ path }) => path) }
}

test.each([
  { what: 'the codec and its streams', names: CODEC, bytesMax: CODEC_BYTES_MAX },
  { what: 'everything', names: '*', bytesMax: MODULE_BYTES_MAX },
])('$what has $bytesMax bytes at most, minified and packed', async ({ names, bytesMax }) => {
  const { bytes, imports } = await bundle(names)
  expect(bytes).toBeLessThan(bytesMax)
  // Something is there, or the bundle would be small for another reason.
  expect(bytes).toBeGreaterThan(bytesMax * 0.8)
  expect(imports, 'neither the engine, nor a package, nor a module of Node').toEqual([])
})

test('the codec imports nothing of this package but its errors', () => {
  const folder = new URL('../../src/event-stream/codec/', import.meta.url)
  const imports = readdirSync(folder).flatMap((name) => [
    ...readFileSync(new URL(name, folder), 'utf8').matchAll(/from '([^']+)'/g),
  ])
  const outside = imports.map(([, path]) => path!).filter((path) => !path.startsWith('./'))
  expect([...new Set(outside)]).toEqual(['../../errors.ts'])
})
