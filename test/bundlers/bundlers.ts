/**
 * How four bundlers are called without a configuration file. Each writes a page with a program of
 * programs/ into `pages/BUNDLER-PROGRAM`.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { transform } from 'esbuild'
import { commandOf, output, outputIn } from './packed.ts'

export interface Bundler {
  /** What is installed for it. Each is pinned: a new version is no failure of this package. */
  readonly packages: readonly string[]
  /** Bundles `program` (such as `loop.js`) of the folder `home` into the folder `page`. */
  bundle(home: string, program: string, page: string): Promise<string>
}

const HTML = (program: string) =>
  `<!doctype html><script type="module" src="./${program}"></script>\n`

/** Each leaves no warning: what it prints on the way is returned for that. */
export const BUNDLERS: Readonly<Record<string, Bundler>> = {
  esbuild: {
    packages: ['esbuild@0.28.2'],
    bundle: (home, program, page) => {
      const flags = ['--bundle', '--minify', '--format=esm', `--outfile=${join(page, 'main.js')}`]
      return output(commandOf(home, 'esbuild'), join(home, program), ...flags)
    },
  },
  rollup: {
    // By itself it resolves no package at all, and does not minify.
    packages: ['rollup@4.68.8', '@rollup/plugin-node-resolve@16.0.3'],
    bundle: async (home, program, page) => {
      const flags = [
        '--plugin',
        'node-resolve',
        '--format',
        'es',
        '--failAfterWarnings',
        '--silent',
      ]
      const file = join(page, 'main.js')
      await outputIn(home, commandOf(home, 'rollup'), program, ...flags, '--file', file)
      const { code } = await transform(readFileSync(file, 'utf8'), { minify: true, format: 'esm' })
      writeFileSync(file, code)
      return ''
    },
  },
  vite: {
    packages: ['vite@8.4.0'],
    bundle: async (home, program, page) => {
      // It takes a folder with a page, as a project has it.
      const project = join(home, `vite-${program}`)
      mkdirSync(project, { recursive: true })
      for (const name of [program, 'exchange.js', 'exchange-events.js'])
        cpSync(join(home, name), join(project, name))
      writeFileSync(join(project, 'index.html'), HTML(program))
      const flags = ['--base', './', '--outDir', page, '--emptyOutDir', '--logLevel', 'warn']
      return output(commandOf(home, 'vite'), 'build', project, ...flags)
    },
  },
  webpack: {
    packages: ['webpack@5.113.0', 'webpack-cli@6.0.1'],
    bundle: (home, program, page) => {
      const flags = ['--mode', 'production', '--output-path', page]
      const limits = ['--no-performance', '--stats', 'errors-warnings']
      const entry = ['--entry', join(home, program)]
      return outputIn(home, commandOf(home, 'webpack'), ...entry, ...flags, ...limits)
    },
  },
}

/** Makes the folder of a page. */
export async function bundlePage(name: string, home: string, program: string): Promise<string> {
  const page = join(home, 'pages', `${name}-${program.replace('.js', '')}`)
  mkdirSync(page, { recursive: true })
  const printed = await BUNDLERS[name]!.bundle(home, program, page)
  if (/warning/i.test(printed)) throw new Error(`${name} warns:\n${printed}`)
  if (name !== 'vite') writeFileSync(join(page, 'index.html'), HTML('main.js'))
  return page
}

export interface Size {
  readonly bytes: number
  readonly gzip: number
  readonly brotli: number
}

/** @returns the size of all scripts of a page. */
export function sizeOf(page: string): Size {
  const scripts = readdirSync(page, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(join(page, name)))
  const sum = (measure: (script: Buffer) => number) =>
    scripts.reduce((total, script) => total + measure(script), 0)
  return {
    bytes: sum((script) => script.length),
    gzip: sum((script) => gzipSync(script, { level: 9 }).length),
    brotli: sum((script) => brotliCompressSync(script).length),
  }
}
