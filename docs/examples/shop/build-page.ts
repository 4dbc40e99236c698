/** Bundles the page for browsers. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** @returns the files of the page by their paths. */
export async function buildPage() {
  const { outputFiles } = await build({
    entryPoints: [file('page/page.ts')],
    // It says where `it-mqtt` is in this repository; installed, the package says it itself.
    tsconfig: file('page/tsconfig.json'),
    // Packages that the bus loads only when they are needed, and the page needs none of them.
    external: ['ajv', 'croner', 'prom-client', 'yaml'],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  })
  return new Map([
    ['/', { type: 'text/html', contents: await readFile(file('page/index.html')) }],
    ['/page.js', { type: 'text/javascript', contents: outputFiles[0]!.contents }],
  ])
}
