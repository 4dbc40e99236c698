import { eventloop, publish, replay } from 'it-mqtt'

const recorder = {
  inputs: 1000,
  onFault: (recording: string) => console.error(recording),
}
const loop = eventloop({ url: 'mqtt://localhost', protocolVersion: 4, recorder }, [
  publish('guide/seen', 'x', { qos: 1 }),
])
for await (const packet of loop) console.log(packet.cmd)

for (const { before, after, differs } of replay(loop.recording() ?? '')) {
  const [from, to] = [before.connection.kind, after.connection.kind]
  if (from !== to) console.log(from, '→', to, differs ?? 'as recorded')
}
