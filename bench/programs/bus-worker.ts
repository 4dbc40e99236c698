/**
 * A process of a service whose handler does nothing but compute. bus-worker PORT NAME ROUNDS
 */
import { pbkdf2Sync } from 'node:crypto'
import { createBus, defineApi } from '../../src/bus/index.ts'

const [port, name, rounds] = process.argv.slice(2)
const hashing = defineApi({ name: 'hashing', version: '1.0.0', rpcs: { hash: {} } })
const bus = createBus({
  service: 'hashing',
  process: name,
  client: { url: `mqtt://127.0.0.1:${port}` },
})
const served = bus.serve(hashing, {
  hash: () => {
    pbkdf2Sync('password', 'salt', Number(rounds), 32, 'sha256')
  },
})
process.on('SIGTERM', () => {
  const { user, system } = process.cpuUsage(atStart)
  process.send?.({ answered: served.stats.answered, cpuMs: (user + system) / 1000 })
  void bus.close({ timeout: 1000 }).then(() => process.disconnect?.())
})
void bus.run()
await served.granted
const atStart = process.cpuUsage()
process.send?.('granted')
