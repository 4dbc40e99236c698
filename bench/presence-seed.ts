/** Puts the records of members into a broker, as clients would that never go. */
import { eventloop, publish } from '../src/index.ts'

/** A week: no run lasts so long. */
const TTL = 604_800

/** The name of a connection: 24 hexadecimal digits. */
function nameOf(connection: number): string {
  return connection.toString(16).padStart(24, '0')
}

/** Publishes the records of `members` members, which are spread over `connections` connections. */
export async function seedMembers(
  port: number,
  members: number,
  connections: number,
): Promise<void> {
  const record = (topic: string, fields: object) =>
    publish(`presence/${topic}`, JSON.stringify({ v: 1, epoch: 1, ...fields }), {
      ...{ qos: 1, retain: true },
    })
  function* records() {
    for (let i = 0; i < connections; i++) {
      const client = `client-${i}`
      yield record(`c/${nameOf(i)}`, { seq: 1, state: 'up', client, ttl: TTL })
    }
    for (let i = 0; i < members; i++) {
      const connection = nameOf(i % connections)
      yield record(`s/bench/member-${i}/${connection}`, { seq: i + 2, data: { number: i } })
    }
  }
  const loop = eventloop({ url: `mqtt://127.0.0.1:${port}`, until: 'settled' }, records())
  for await (const _ of loop) {
    // It ends when all are there.
  }
}
