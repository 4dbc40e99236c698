/**
 * The Chromium of this machine, without a window. It is closed when the test is over.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium } from 'playwright'
import type { TestContext } from 'vitest'
import { CHROMIUM } from './chromium-path.ts'

/** Skips the test if Chromium is missing; fails it if brokers are required, which it is then too. */
export function requireChromium(context: TestContext): void {
  if (CHROMIUM !== undefined) return
  if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1')
    throw new Error('Chromium is required and not installed')
  console.log(`not run, Chromium is not installed: ${context.task.name}`)
  context.skip('Chromium is not installed: not run')
}

/** Starts it. Debian's Chromium has no sandbox for root, and what runs in it here is ours. */
export async function launchChromium(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error('Chromium is not installed')
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
}

/** @returns where a file for people to look at is written: `output/`, which git ignores. */
export function outputPath(name: string): string {
  const folder = fileURLToPath(new URL('../../output', import.meta.url))
  mkdirSync(folder, { recursive: true })
  return join(folder, name)
}
