/**
 * What a bundle does in each place, as cells of a table: `npm run bundlers` prints them, and a table
 * of runtimes may have them beside its own.
 */
import { temporaryFolder } from '../support/process.ts'
import { chromiumColumn } from './chromium-column.ts'
import { nativeColumn } from './native-column.ts'
import { installPackage } from './packed.ts'
import type { BundleResult, Found, Place } from './place.ts'
import { openServers } from './servers.ts'
import { workersColumn } from './workers-column.ts'

export const COLUMNS: Readonly<Record<string, (place: Place) => Promise<Found>>> = {
  chromium: chromiumColumn,
  workers: workersColumn,
  native: nativeColumn,
}

/** Installs the package once, and measures the columns one after the other. */
export async function measureBundles(
  names: readonly string[] = Object.keys(COLUMNS),
): Promise<readonly BundleResult[]> {
  const { path: home, remove } = temporaryFolder()
  const servers = await openServers(home)
  const results: BundleResult[] = []
  try {
    // What keeps the package from being installed keeps every column from its cells.
    const installed = installPackage(home)
    for (const name of names) {
      results.push(
        await resultOf(name, async () => {
          await installed
          return COLUMNS[name]!({ home, servers })
        }),
      )
    }
  } finally {
    await servers.close()
    remove()
  }
  return results
}

async function resultOf(name: string, column: () => Promise<Found>): Promise<BundleResult> {
  const broker = 'aedes (3.1.1), it-mqtt/testing (5)'
  try {
    return { name, broker, ...(await column()), problem: null }
  } catch (thrown) {
    const problem = thrown instanceof Error ? thrown : new Error(String(thrown))
    return { name, title: name, broker, cells: {}, problem }
  }
}
