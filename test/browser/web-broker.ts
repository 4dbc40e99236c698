/**
 * mosquitto behind a WebSocket listener of this process, with the scripts of test/browser/page.
 * (The WebSocket listener of Debian's mosquitto takes 35 kB a second.) It can be away for a while,
 * and comes back at the same ports with all sessions.
 */
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { aliasesOf } from '../../vitest.config.ts'
import { DURABLE, Mosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { Gateway } from './gateway.ts'

/** Bundles a file of page/ as a browser gets it. @returns the text of the script. */
async function bundled(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`page/${name}.ts`, import.meta.url))],
    alias: aliasesOf('web') as Record<string, string>,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
  })
  return outputFiles[0]!.text
}

export class WebBroker extends Gateway {
  #mosquitto: Mosquitto | null = null

  /** @param names the scripts of test/browser/page that it serves, as `/NAME.js`. */
  static async start(names: readonly string[]): Promise<WebBroker> {
    const scripts = await Promise.all(names.map(bundled))
    const mosquitto = await Mosquitto.start(DURABLE)
    const files = new Map(names.map((name, i) => [`/${name}.js`, scripts[i]!]))
    const broker = new WebBroker(await freePort(), mosquitto.port, files)
    broker.#mosquitto = mosquitto
    await broker.listen()
    return broker
  }

  /** Stops mosquitto, which stores its sessions. */
  async vanish(): Promise<void> {
    await super.close()
    await this.#mosquitto?.down('SIGTERM')
  }

  async comeBack(): Promise<void> {
    await this.#mosquitto?.up()
    await this.listen()
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#mosquitto?.[Symbol.asyncDispose]()
  }
}
