/** What stands for the APIs of a shell: an object with the functions and events of each. */
import type { Api, Bus } from '../../bus/index.ts'

/**
 * @returns an object with each API by its name; of one with several major versions this is the
 *   latest one, and `auth@1` an older one.
 */
export function shellApis(bus: Bus, apis: readonly Api[]): Readonly<Record<string, unknown>> {
  const found: Record<string, unknown> = Object.create(null)
  for (const api of [...apis].sort((a, b) => b.major - a.major)) {
    const name = Object.hasOwn(found, api.name) ? `${api.name}@${api.major}` : api.name
    found[name] ??= bus.api(api)
  }
  return Object.freeze(found)
}
