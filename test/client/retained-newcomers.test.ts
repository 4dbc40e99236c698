/**
 * Goal: each of several subscriptions of one filter gets the retained messages, at a server without
 * subscription identifiers, also if they are asked for before the first has its messages.
 */
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { LocalBroker, Probe } from '../support/local-broker.ts'

test('[M10] subscriptions that are made together get the retained messages, each once', async () => {
  const broker = await LocalBroker.start({ onTestFinished })
  const probe = await Probe.at(broker.url, { onTestFinished })
  for (const name of ['a', 'b', 'c']) {
    await probe.publish(`plant/7/${name}`, name, { qos: 1, retain: true })
  }
  const client = createClient(broker.url)
  onTestFinished(() => client.close().then(() => {}))
  const filters = ['plant/+/a', 'plant/+/b', 'plant/+/c', 'plant/+/end']
  const early = [client.subscribe(filters), client.subscribe(filters)]
  const seen = early.map(async (one) => {
    const topics: string[] = []
    for await (const { topic } of one) if (topics.push(topic) && topic.endsWith('end')) break
    return topics
  })
  await Promise.all(early.map(({ granted }) => granted))
  const late = client.subscribe(filters)
  await late.synced
  expect(late.state.waiting).toBe(3)
  await client.publish('plant/7/end', '')
  const all = ['plant/7/a', 'plant/7/b', 'plant/7/c', 'plant/7/end']
  expect(await Promise.all(seen)).toEqual([all, all])
})
