/** A page with the client: its title is what came back. */
import { createClient, text } from 'it-mqtt/client'

const TEXTS = ['at most once', 'at least once', 'exactly once']

async function exchange(url, protocolVersion) {
  const client = createClient({ url, protocolVersion, reconnect: 'never' })
  const topic = `bundles/${Math.random()}`
  const messages = client.subscribe(topic, { qos: 2, codec: text })
  const received = []
  for (const [qos, value] of TEXTS.entries()) {
    await client.publish(topic, value, { qos })
    const { value: message } = await messages.next()
    received.push(`${message.qos} ${message.value}`)
  }
  await client.close()
  return received.join(', ')
}

const [url, version] = location.hash.slice(1).split(',')
document.title = await exchange(url, Number(version)).catch((error) => `failed: ${error.stack}`)
