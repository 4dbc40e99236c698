/**
 * Checks what has to hold for any bytes. The decoder ends in packets or in a ProtocolError, the
 * same for every cut, holds no more than it was given, and invents nothing. The loop ends or goes
 * on, and yields what was decoded.
 */
import assert from 'node:assert/strict'
import { Decoder } from '../../src/codec/decode.ts'
import { Encoder } from '../../src/codec/encode.ts'
import { BugError, ProtocolError } from '../../src/errors.ts'
import { isFatal, type Tolerance } from '../../src/protocol/deviations.ts'
import type { ReceivedPublish, ServerPacket } from '../../src/protocol/facts.ts'
import { type PreparedPublish, prepare } from '../../src/requests/prepare.ts'
import { feed, hex, NO_LIMIT, type Version } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'
import type { FuzzInput } from './inputs.ts'

export interface Verdict {
  readonly packets: number
  /** The reason code of the refusal, or 0 if nothing was refused. */
  readonly refused: number
}

/** @throws an error that names the defect, if there is one. */
export function checkDecoder({ version, bytes, chunks }: FuzzInput, tolerance: Tolerance): Verdict {
  const { packets, error, decoder: whole } = feed([bytes], version, { tolerance })
  const decoder = new Decoder(version, NO_LIMIT, tolerance)
  const again: ServerPacket[] = []
  let refused: ProtocolError | null = null
  let given = 0
  try {
    for (const chunk of chunks) {
      decoder.push(chunk)
      given += chunk.length
      decoder.read(again, Number.POSITIVE_INFINITY)
      assert.ok(decoder.bufferedBytes <= given, 'more is held than was given')
    }
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown
    refused = thrown
  }
  assert.deepEqual(again, packets, 'the cut changes the packets')
  assert.equal(refused?.reasonCode, error?.reasonCode, 'the cut changes the refusal')
  const notes = whole.takeNotes()
  const counts = (list: typeof notes) => list?.map(({ kind, count }) => `${kind} ${count}`)
  assert.deepEqual(counts(decoder.takeNotes()), counts(notes), 'the cut changes the deviations')
  for (const { kind } of notes ?? []) assert.ok(!isFatal(tolerance, kind), `${kind} is fatal`)
  for (const packet of packets) {
    // What deviates cannot be written.
    if (packet.cmd === 'publish' && notes === null) rewrite(packet, version)
  }
  return { packets: packets.length, refused: error?.reasonCode ?? 0 }
}

function isDelivered(packet: ServerPacket): boolean {
  return packet.cmd === 'publish' && !packet.unreadable
}

/** A message that was read can be written, and is then read as the same message. */
function rewrite(packet: ReceivedPublish, version: Version): void {
  const { topic, payload, qos, retain, dup, messageId, properties } = packet
  // A topic in an alias cannot be written again, nor what only a server may send.
  if (topic === '' || properties?.['topicAlias'] !== undefined) return
  if (properties?.['subscriptionIdentifier'] !== undefined) return
  const request = { cmd: 'publish', topic, payload, qos, retain, properties }
  const prepared = prepare(request, version) as PreparedPublish
  const encoder = new Encoder(version)
  const expiry = prepared.expiryGiven ? prepared.expirySeconds : -1
  encoder.publish(prepared, messageId ?? 0, dup, expiry)
  const { packets, error } = feed(encoder.take(), version)
  assert.equal(error, null)
  assert.deepEqual(packets, [packet], 'a message is not what it was')
}

/** The CONNACK that comes first: the decoder is more careful before it. */
const GREETING: Readonly<Record<Version, Buffer>> = {
  3: hex('20020000'),
  4: hex('20020000'),
  5: hex('2003000000'),
}

/** Runs a whole loop whose server sends these bytes behind its CONNACK. */
export async function checkLoop(
  { version, chunks, bytes }: FuzzInput,
  tolerance: Tolerance,
): Promise<Verdict> {
  const expected = feed([Buffer.concat([GREETING[version], bytes])], version, { tolerance })
  const requests = [
    { cmd: 'publish', topic: 'q', payload: '1', qos: 1 },
    { cmd: 'publish', topic: 'q', payload: '2', qos: 2 },
    { cmd: 'subscribe', subscriptions: [{ topic: 'a/#', qos: 2 }] },
  ] as const
  const options = {
    protocolVersion: version,
    until: 'closed',
    reconnect: 'never',
    tolerance,
  } as const
  const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
  const started = startLoop(options, requests, undefined, { server })
  const { clock } = started
  await clock.advance(0)
  const { current } = server
  for (const chunk of chunks) {
    current.send(chunk)
    await clock.advance(0)
  }
  await clock.advance(1)
  const yielded = started.received.filter(({ cmd }) => cmd === 'publish').length
  const decoded = expected.packets.filter(isDelivered).length
  assert.ok(yielded <= decoded, `${yielded} messages of ${decoded} that were sent`)
  void started.loop.return()
  await clock.advance(5000)
  assert.ok(!(started.error instanceof BugError), String(started.error))
  assert.ok(started.ended, 'the loop does not end')
  assert.deepEqual([clock.pendingTimers, server.open], [0, 0], 'something is left')
  assert.equal(current.error, undefined, 'the client wrote what is no packet')
  return { packets: yielded, refused: expected.error?.reasonCode ?? 0 }
}
