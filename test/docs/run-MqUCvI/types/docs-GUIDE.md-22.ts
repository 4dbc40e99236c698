import { type Authenticator, eventloop } from 'it-mqtt'

const authenticator: Authenticator = {
  method: 'RIDDLE',
  async *exchange({ reason }) {
    const challenge = yield `hello, ${reason}` // in CONNECT, or in AUTH 0x19
    const last = yield `answer to ${challenge}` // in AUTH 0x18
    if (String(last) !== 'welcome') throw new Error('not my server') // of CONNACK, or of AUTH 0x00
  },
}
const loop = eventloop({ url: 'mqtt://localhost', authenticator })
console.log(loop.state.connection.kind)
