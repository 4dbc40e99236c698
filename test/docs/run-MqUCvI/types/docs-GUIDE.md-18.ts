import { decodeSession, encodeSession, eventloop, publish } from 'it-mqtt'

const options = { url: 'mqtt://localhost', clientId: 'guide-restart', cleanStart: false } as const
const loop = eventloop({ ...options, session: 'adopt' }, [
  publish('guide/restart', 'kept', { qos: 2, key: 'reading-1' }),
])
await loop.next() // connected; the message has left or is about to
loop.shutdown()
await loop.return()

const text = encodeSession(loop.session)
console.log('held', loop.session.held.length)

let outcomes = 0
const again = eventloop({
  ...options,
  session: decodeSession(text),
  onSettled: (_request, outcome) => {
    if (outcome.ok) outcomes++
  },
})
for await (const _packet of again);
console.log('delivered', outcomes)
