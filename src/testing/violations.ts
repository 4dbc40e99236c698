/** What does the broker do if a client breaks a rule of the standard? It notes it, and closes. */
import type { BrokerConnection, BrokerCore } from './broker-state.ts'
import { disconnectClient } from './wire.ts'

/** Notes that a client broke a rule, and ends its connection with the reason code. (4.13) */
export function violate(
  core: BrokerCore,
  connection: BrokerConnection,
  broken: { readonly reasonCode: number; readonly clause: string; readonly message: string },
): void {
  const { reasonCode, clause, message } = broken
  const { clientId } = connection
  core.violations.push({ at: core.clock.now(), clientId, reasonCode, clause, message })
  disconnectClient(core, connection, reasonCode, message)
}
