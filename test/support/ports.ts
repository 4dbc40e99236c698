/**
 * Ports of servers that a test starts: which one is free, and who listens on it.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/**
 * Ports below those that systems give to outgoing connections and to listeners that ask for any
 * port. Nobody else takes such a port while its broker starts, or between its end and its next
 * start; and a dial to a broker that is down cannot connect to itself.
 */
const PORTS = { from: 15_000, to: 32_000 }
/** How long a broker may take for its CONNACK, in ms. */
const CONNACK_MS = 2000
const CONNACK = 0x20

/** The ports that this process was given: several are chosen before the first one is used. */
const given = new Set<number>()

/** @returns a port on which nobody listens now, and that was not returned before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from))
    if (given.has(port)) continue
    given.add(port)
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      return port
    } catch {
      // It is in use: another one is tried.
    }
  }
}

/** Whether somebody listens on this port. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1', () => resolve(true))
    probe.on('error', () => resolve(false))
    probe.on('connect', () => probe.destroy())
  })
}

/**
 * Whether a broker on this port answers a CONNECT, in whatever way: some listen before they can
 * serve anybody.
 */
export function servesClients(port: number, { tls = false } = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = tls
      ? connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
      : connect(port, '127.0.0.1')
    const settle = (serves: boolean) => {
      socket.destroy()
      resolve(serves)
    }
    socket.setTimeout(CONNACK_MS, () => settle(false))
    socket.on('error', () => settle(false))
    socket.on('close', () => settle(false))
    socket.once('data', ([first]: Buffer) => settle(first === CONNACK))
    socket.write(CONNECT)
  })
}

const text = (value: string) => [0, value.length, ...Buffer.from(value)]
/** MQTT 3.1.1 with Clean Session 1 and a user name, which ejabberd wants. */
const FIELDS = [
  ...text('MQTT'),
  4,
  0xc2,
  0,
  0,
  ...text('it-mqtt-probe'),
  ...text('user'),
  ...text('x'),
]
const CONNECT = Buffer.from([0x10, FIELDS.length, ...FIELDS])
