/**
 * Cloudflare's runtime by miniflare: one bundle, made under the conditions that wrangler uses, runs
 * without compatibility flags and with `nodejs_compat`.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import { install } from './packed.ts'
import { EVERYTHING, exchangeBoth, type Found, type Place } from './place.ts'

/** It is pinned: a new version is no failure of this package. */
const MINIFLARE = 'miniflare@4.20260730.0'
const COMPATIBILITY_DATE = '2026-01-01'
const FLAGS = { 'without compatibility flags': [], 'with nodejs_compat': ['nodejs_compat'] }

/** What is used of miniflare, which is not installed when this file is compiled. */
interface Miniflare {
  dispatchFetch(url: string): Promise<{ text(): Promise<string> }>
  dispose(): Promise<void>
}
type MiniflareClass = new (options: object) => Miniflare

export async function workersColumn({ home, servers }: Place): Promise<Found> {
  await install(home, MINIFLARE)
  const script = join(home, 'worker.bundle.js')
  await build({
    entryPoints: [join(home, 'worker.js')],
    outfile: script,
    ...{ bundle: true, format: 'esm', conditions: ['workerd', 'worker', 'browser'] },
    ...{ target: 'es2024', platform: 'browser', logLevel: 'warning' },
  })
  const require = createRequire(join(home, 'package.json'))
  const { Miniflare } = require('miniflare') as { readonly Miniflare: MiniflareClass }
  const cells: Record<string, string> = {}
  for (const [name, compatibilityFlags] of Object.entries(FLAGS)) {
    const worker = new Miniflare({
      ...{ modules: true, script: readFileSync(script, 'utf8') },
      ...{ compatibilityDate: COMPATIBILITY_DATE, compatibilityFlags },
    })
    try {
      for (const [program, path] of Object.entries({ loop: 'loop', 'event streams': 'events' })) {
        await exchangeBoth(`${name}, ${program}`, servers, async (url, version) => {
          const query = new URLSearchParams({ url, version: String(version) })
          return (await worker.dispatchFetch(`http://worker/${path}?${query}`)).text()
        })
        cells[`${program}, ${name}`] = EVERYTHING
      }
    } finally {
      await worker.dispose()
    }
  }
  const { version } = require('workerd/package.json') as { readonly version: string }
  return { title: `workerd ${version}`, cells }
}
