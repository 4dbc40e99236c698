/** The floor of roundtrip.ts: prepared bytes on a socket, and whatever comes back. */
import { connect } from 'node:net'
import mqtt from 'mqtt-packet'
import { reportTimes, WARM_UP } from './times.ts'

const [port, countText, sizeText] = process.argv.slice(2)
const total = Number(countText) + WARM_UP
const payload = Buffer.alloc(Number(sizeText), 65)
const times: number[] = []
let sentAt = 0
let missing = 0

const packet = mqtt.generate(
  { cmd: 'publish', topic: 'echo/x', payload, qos: 0, dup: false, retain: false },
  { protocolVersion: 5 },
)
const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true })
const send = () => {
  missing = packet.length
  sentAt = performance.now()
  socket.write(packet)
}
socket.write(mqtt.generate({ cmd: 'connect', clientId: 'x', protocolVersion: 5, keepalive: 60 }))
socket.once('data', () => {
  socket.on('data', (chunk) => {
    missing -= chunk.length
    if (missing > 0) return
    times.push(performance.now() - sentAt)
    if (times.length === total) reportTimes(times, total)
    else send()
  })
  send()
})
