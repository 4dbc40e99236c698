/** How many messages a connection sends while nothing happens, in an hour of the virtual clock. presence-signs MEMBERS */
import { createClient } from '../../src/client/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { createBroker, virtualClock } from '../../src/testing/index.ts'

const TTL = 300
const HALVES = 24

const members = Number(process.argv[2])
const clock = virtualClock()
const broker = createBroker({ clock })
const { transport } = broker
const options = { transport, platform: clock, clientId: 'member' }
const client = createClient(withPresence(options, { ttl: TTL }))
void client.run()
const room = presence(client, 'bench')
const entered = Array.from({ length: members }, (_, i) => room.enter(i, { client: `member-${i}` }))
await clock.until(Promise.all(entered))
broker.clearLog()
await clock.advance((TTL / 2) * HALVES * 1000)
const messages = broker.received.filter(({ packet }) => packet.cmd === 'publish').length / HALVES
console.log(JSON.stringify({ messages }))
process.exit(0)
