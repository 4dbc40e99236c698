/**
 * Presence against mosquitto: how long it takes until a client that comes knows all members, what
 * an update costs with few and with many members, and how many messages say that a connection lives.
 */
import type { Server } from './measure.ts'
import { broker, lacksBroker } from './met.ts'
import { seedMembers } from './presence-seed.ts'
import { type Context, less, type Row, type Table } from './row.ts'

export function presence(context: Context): Table {
  const lacks = lacksBroker()
  const throughBroker = [
    sync(context, 10),
    sync(context, 10_000),
    update(context, 10),
    update(context, 10_000),
  ]
  return {
    title: 'Presence',
    rows: [...throughBroker.map((row) => ({ ...row, lacks })), signs(context)],
  }
}

/** mosquitto with the records of members that never go. */
async function seeded(members: number, connections: number): Promise<Server> {
  const server = await broker(1000)
  await seedMembers(server.port, members, connections)
  return server
}

/** The floor is the loop with subscriptions to the same retained messages. */
function sync(context: Context, connections: number): Row {
  const members = Math.max(connections, Math.round(10_000 * context.scale))
  const args = (port: number) => [port, members, connections]
  const each = connections === 10 ? 'of 10 connections' : 'each of a connection of its own'
  return {
    name: `${members.toLocaleString('en')} members ${each}: from CONNACK to all known`,
    server: () => seeded(members, connections),
    programs: [
      { name: 'it-mqtt', script: context.scripts.get('presence-sync')!, args },
      { name: 'floor', script: context.scripts.get('presence-retained')!, args },
    ],
    metrics: [less('ms', 'ms'), less('cpuMs', 'CPU ms')],
  }
}

/** The floor is a retained publish of the client that comes back to its own subscription. */
function update(context: Context, members: number): Row {
  const count = Math.max(500, Math.round(5000 * context.scale))
  const args = (port: number) => [port, members, count]
  return {
    name: `an update that another client sees, one at a time, ${members.toLocaleString('en')} members`,
    server: () => seeded(members, 10),
    programs: [
      { name: 'it-mqtt', script: context.scripts.get('presence-update')!, args },
      { name: 'floor', script: context.scripts.get('presence-echo')!, args },
    ],
    metrics: [less('p50', 'p50 µs'), less('cpuMicros', 'CPU µs per update')],
  }
}

function signs(context: Context): Row {
  const program = (name: string, members: number) => ({
    name,
    script: context.scripts.get('presence-signs')!,
    args: () => [members],
  })
  return {
    name: 'messages per connection while nothing happens, in half of ttl',
    server: async () => ({ port: 0, stop() {} }),
    programs: [program('it-mqtt, 1 member', 1), program('it-mqtt, 1,000 members', 1000)],
    metrics: [less('messages', 'messages')],
    runsMax: 1,
  }
}
