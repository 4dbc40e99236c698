import { eventloop, type PublishRequest, publish } from 'it-mqtt'

const loop = eventloop(
  {
    url: 'mqtt://127.0.0.1:1',
    reconnect: 'always',
    divert: {
      afterMs: 100,
      async to({ topic, payload }: PublishRequest, signal: AbortSignal) {
        // await fetch(`https://ingest.example/${topic}`, { method: 'POST', body: payload, signal })
        console.log('by HTTP:', topic, payload, signal.aborted)
      },
    },
    onSettled(request, outcome) {
      console.log(request.cmd, 'settled', outcome.ok)
      loop.shutdown()
    },
  },
  [publish('guide/diverted', 'x', { qos: 1 })],
)
for await (const packet of loop) console.log(packet.cmd)
