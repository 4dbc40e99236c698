/** A program of the client as users write it: it has to pass the strictest rules, and compile. */
import { ConnectionError, RefusedError } from 'it-mqtt'
import {
  type Client,
  createClient,
  json,
  type Message,
  type ParamsOf,
  type StandardSchema,
  text,
  topic,
} from 'it-mqtt/client'

interface Climate {
  readonly celsius: number
}

const schema: StandardSchema<Climate> = {
  '~standard': {
    version: 1,
    vendor: 'consumer',
    validate: (value) =>
      typeof value === 'object' && value !== null && 'celsius' in value
        ? { value: { celsius: Number(value.celsius) } }
        : { issues: [{ message: 'no climate' }] },
  },
}
const climate = topic('rooms/{room}/climate', { schema })
const light = topic('rooms/{room}/light/{lamp}', { codec: text, qos: 0 })
type ClimateMessage = Message<ParamsOf<'rooms/{room}/climate'>, Climate>

function report({ params, value, properties }: ClimateMessage): void {
  const unit = properties?.userProperties?.['unit']
  console.log(params.room, value.celsius, typeof unit === 'string' ? unit : 'celsius')
}

async function watch(client: Client): Promise<void> {
  for await (const message of client.subscribe(climate, { onLeave: 'release' })) report(message)
  await client.subscribe(light, { overflow: { max: 10, then: 'dropNewest' } }).forEach(
    async ({ params: { room, lamp }, value }) => {
      await client.publish(light, value.toUpperCase(), { params: { room, lamp: `${lamp}-echo` } })
    },
    { concurrency: 4, onError: console.error },
  )
  const both = client.subscribe([climate, light])
  const { value, params } = await both.first({ timeout: 1000 })
  console.log(typeof value === 'string' ? value.length : value.celsius.toFixed(1))
  if (params.lamp !== undefined) console.log(params.lamp, params.room)
}

async function ask(client: Client, room: string, signal?: AbortSignal): Promise<number> {
  try {
    const response = await client.request('rooms/ask', room, { schema, codec: json, signal })
    return response.value.celsius
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'NO_RESPONDERS') return Number.NaN
    if (error instanceof ConnectionError && error.retryable) return ask(client, room, signal)
    throw error
  }
}

export async function main(url: string): Promise<void> {
  await using client = createClient({
    url,
    onWarning: ({ message }) => {
      console.error(message)
    },
  })
  await using responder = client.respond(
    'rooms/ask',
    async (request) => {
      if (request.value === 'cellar') await request.fail('COLD', 'nobody lives there')
      return '{"celsius":21}'
    },
    { codec: text, concurrency: 2 },
  )
  await responder.granted
  const requests = [{ topic: 'a', payload: 'b' }]
  for await (const { request, outcome } of client.publishAll(requests)) {
    if (outcome.ok) console.log(request.topic, outcome.value.noMatchingSubscribers)
  }
  const watching = watch(client)
  process.once('SIGTERM', () => void client.close().catch(console.error))
  const { maximumQoS } = await client.ready()
  console.log(maximumQoS, await ask(client, 'kitchen'), client.state.publishes.open)
  await watching
}
