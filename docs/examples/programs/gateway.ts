/**
 * A gateway: samples are on disk before they count, and leave when there is a connection; commands
 * are executed exactly once, whatever dies in between. The loop serves this best: the spool is its
 * stream of requests, and the session on disk is its own.
 */
import { eventloop, publish, subscribe } from 'it-mqtt'
import { openSession, spool } from 'it-mqtt/disk'

/** Serves until the signal is aborted. */
export async function gateway(
  url: string,
  directory: string,
  samples: AsyncIterable<string>,
  execute: (command: string, id: string) => Promise<void>,
  signal: AbortSignal,
) {
  await using queue = await spool(`${directory}/queue`)
  const session = await openSession(`${directory}/session`)
  const loop = eventloop(
    {
      url,
      clientId: 'gateway-7',
      session,
      reconnect: 'always',
      onConnected: () => [subscribe('gateway-7/command', { qos: 2 })],
    },
    queue,
  )
  signal.addEventListener('abort', () => loop.disconnect())

  async function take() {
    for await (const sample of samples) {
      await queue.push(publish('gateway-7/sample', sample, { qos: 1 }))
    }
  }

  async function serve() {
    for await (const packet of loop) {
      if (packet.cmd === 'publish') await execute(packet.payload.toString(), `${packet.deliveryId}`)
    }
  }

  await Promise.all([take(), serve()])
}
