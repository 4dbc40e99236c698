/** Bundles the page for browsers. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface PageFile {
  readonly type: string
  readonly contents: Uint8Array
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** @returns the files of the page by their names. */
export async function buildPage(): Promise<ReadonlyMap<string, PageFile>> {
  const { outputFiles } = await build({
    entryPoints: { page: file('page/main.tsx') },
    // It says where `it-mqtt` is in this repository; installed, the package says it itself.
    tsconfig: file('page/tsconfig.json'),
    outdir: 'out',
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    logLevel: 'warning',
  })
  const bundled = (extension: string) =>
    outputFiles.find(({ path }) => path.endsWith(extension))!.contents
  return new Map([
    ['index.html', { type: 'text/html', contents: await readFile(file('page/index.html')) }],
    ['page.js', { type: 'text/javascript', contents: bundled('.js') }],
    ['page.css', { type: 'text/css', contents: bundled('.css') }],
  ])
}
