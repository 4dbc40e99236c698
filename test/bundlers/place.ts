/** What a column of the table is given, and what it returns. */
import type { Servers } from './servers.ts'

/** What was found in one place. */
export interface BundleResult {
  readonly name: string
  /** The place with its version. */
  readonly title: string
  readonly broker: string
  readonly cells: Readonly<Record<string, string>>
  /** Why it failed, or did not run (`NotRun`); null if all is well. */
  readonly problem: Error | null
}

/** Where a column finds what it needs. */
export interface Place {
  /** The folder in which the package and the programs are. */
  readonly home: string
  readonly servers: Servers
}

/** What a column has found: the place with its version, and the cells. */
export type Found = Pick<BundleResult, 'title' | 'cells'>

/** What the programs return if all is well. */
const EXCHANGED = '0 at most once, 1 at least once, 2 exactly once'

/** The cell of a place in which the programs did all that they should. */
export const EVERYTHING = 'QoS 0, 1, 2 in MQTT 5 and 3.1.1'

/**
 * Runs a program with both versions of MQTT.
 * @param exchange runs it, and returns what it returned.
 * @throws unless it returned what it should.
 */
export async function exchangeBoth(
  where: string,
  { brokers }: Servers,
  exchange: (url: string, version: 4 | 5) => Promise<string>,
): Promise<void> {
  for (const version of [4, 5] as const) {
    const got = await exchange(brokers[version], version)
    if (got !== EXCHANGED) throw new Error(`${where}, version ${version}: ${got}`)
  }
}
