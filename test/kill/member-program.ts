/**
 * The member that is killed: a process of its own that enters a space and stays there.
 *
 *   member-program URL VERSION NAME SPACE TTL GRACE KEEPALIVE   prints `entered` once it is there
 */
import { writeSync } from 'node:fs'
import { createClient } from '../../src/client/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'

const [url = '', version, name = '', space = '', ...numbers] = process.argv.slice(2)
const [ttl, grace, keepAlive] = numbers.map(Number) as [number, number, number]
const client = createClient(
  withPresence(
    {
      ...{ url, clientId: name, keepAlive, connectTimeout: 2000, onWarning: () => {} },
      reconnect: { when: 'always', minMs: 20, maxMs: 500 },
      ...(version === '5'
        ? { protocolVersion: 5, sessionExpiryInterval: 600 }
        : { protocolVersion: 4 }),
    },
    { ttl, grace },
  ),
)
const running = client.run()
// Who cannot enter says why.
const complaint = setInterval(() => {
  const { connection, publishes } = client.state
  process.stderr.write(`${JSON.stringify({ connection, publishes })}\n`)
}, 20_000)
await presence(client, space).enter({ pid: process.pid })
clearInterval(complaint)
writeSync(1, 'entered\n')
await running
