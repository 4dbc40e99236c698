/** The floor of paced.ts. */
import { Pacer, paceOf } from './pacing.ts'
import { RawClient } from './raw.ts'

const [port, qosText, ...rest] = process.argv.slice(2)
const pacer = new Pacer(paceOf(...rest))
const client = new RawClient(Number(port), 'paced', Number(qosText) as 0 | 1 | 2, () => {
  pacer.start((payload) => client.publish([payload]))
})
client.onMessage = (payload) => pacer.heard(payload)
