/**
 * Nodes of Moleculer that meet through a broker, with its MQTT transporter as its documentation has
 * it. Two things are set that its users do not get by themselves: no log, and no delay of small
 * packets by TCP, which MQTT.js has in the other programs too.
 */
import { ServiceBroker, type ServiceSchema } from 'moleculer'

/** The transporter keeps its client here. */
interface WithClient {
  readonly client: { readonly stream: { setNoDelay(on: boolean): void } }
}

/** @returns a node that is connected, with a service if there is one. */
export async function moleculerNode(
  port: number,
  nodeID: string,
  qos: 0 | 1,
  service?: ServiceSchema,
): Promise<ServiceBroker> {
  const options = { host: '127.0.0.1', port, qos }
  const broker = new ServiceBroker({
    ...{ nodeID, logger: false, transporter: { type: 'MQTT', options } },
  })
  if (service !== undefined) broker.createService(service)
  await broker.start()
  const transporter = broker.transit!.tx as unknown as WithClient
  transporter.client.stream.setNoDelay(true)
  return broker
}
