/**
 * What every bundle does once: connects, subscribes, publishes at each QoS, and returns what came
 * back. It uses nothing that one of the runtimes has not, and is plain JavaScript, as each bundler
 * reads it without configuration.
 */
import { eventloop, publish, subscribe } from 'it-mqtt'

const TEXTS = ['at most once', 'at least once', 'exactly once']

/** @returns the texts that came back, with their QoS; each QoS has an order of its own. */
export async function exchange(url, protocolVersion) {
  const topic = `bundles/${Math.random()}`
  const requests = TEXTS.map((text, qos) => publish(topic, text, { qos }))
  const received = []
  const options = { url, protocolVersion, reconnect: 'never', until: 'closed' }
  const loop = eventloop(options, [subscribe(topic, { qos: 2 }), ...requests])
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    received.push(`${packet.qos} ${String.fromCharCode(...packet.payload)}`)
    if (received.length === TEXTS.length) loop.shutdown()
  }
  return received.sort().join(', ')
}
