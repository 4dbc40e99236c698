/** A member changes and a watcher of the same process sees it, COUNT times. presence-update PORT MEMBERS COUNT */
import { createClient } from '../../src/client/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { reportRequests } from './request-report.ts'

const [port, members, count] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const watcher = createClient(withPresence({ url }))
const member = createClient(withPresence({ url }))
// One more than those whom the broker knows enters.
const watched = presence(watcher, 'bench', { maxMembers: 20_000 })
const room = presence(member, 'bench')
void member.run()
const known = await watched.get()
if (known.length < Number(members)) throw new Error(`found ${known.length} of ${members}`)
let wake = () => {}
const seen = (async () => {
  for await (const { action } of watched.changes()) {
    if (action === 'update' || action === 'enter') wake()
  }
})()
seen.catch(() => process.exit(1))
let number = 0
await reportRequests(Number(count), 1, async () => {
  const change = new Promise<void>((resolve) => {
    wake = resolve
  })
  await Promise.all([room.update({ number: number++ }), change])
})
