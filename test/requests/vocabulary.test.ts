/**
 * Goal: the packet types of this package say what those of mqtt-packet say, and TypeScript sees
 * which request a packet answers. Method: each line compiles or does not; `npx tsc` is the test.
 */
import type * as theirs from 'mqtt-packet'
import { expect, expectTypeOf, test } from 'vitest'
import type {
  EventloopOptions,
  Incoming,
  IncomingPublish,
  PublishRequest,
  SubscribeRequest,
  Subscription,
  UnsubscribeRequest,
} from '../../src/index.ts'
import type * as ours from '../../src/protocol/packets.ts'

/** Values of either type may be used as the other. */
function mutual<A extends B, B extends C, C = A>(): void {}

test('each packet type is assignable to that of mqtt-packet, and the other way round', () => {
  mutual<ours.ConnectPacket<Buffer>, theirs.IConnectPacket>()
  mutual<ours.ConnackPacketOf<Buffer>, theirs.IConnackPacket>()
  mutual<ours.PubackPacket, theirs.IPubackPacket>()
  mutual<ours.PubrecPacket, theirs.IPubrecPacket>()
  mutual<ours.PubrelPacket, theirs.IPubrelPacket>()
  mutual<ours.PubcompPacket, theirs.IPubcompPacket>()
  mutual<ours.SubscribePacket, theirs.ISubscribePacket>()
  mutual<ours.UnsubscribePacket, theirs.IUnsubscribePacket>()
  mutual<ours.UnsubackPacket, theirs.IUnsubackPacket>()
  mutual<ours.PingreqPacket, theirs.IPingreqPacket>()
  mutual<ours.PingrespPacket, theirs.IPingrespPacket>()
  mutual<ours.DisconnectPacket, theirs.IDisconnectPacket>()
  mutual<ours.AuthPacketOf<Buffer>, theirs.IAuthPacket>()
  mutual<ours.UserProperties, theirs.UserProperties>()
})

test('a packet from the server says more than one of mqtt-packet, and so can be used as one', () => {
  // The payload is always bytes, and the codes of a SUBACK are always numbers.
  expectTypeOf<IncomingPublish>().toExtend<theirs.IPublishPacket>()
  expectTypeOf<ours.SubackPacket>().toExtend<theirs.ISubackPacket>()
  expectTypeOf<Incoming>().toExtend<theirs.Packet>()
})

test('`cmd` says which request a packet answers', () => {
  const requestOf = (packet: Incoming) => {
    if (packet.cmd === 'puback') expectTypeOf(packet.request).toEqualTypeOf<PublishRequest>()
    if (packet.cmd === 'pubrec') expectTypeOf(packet.request).toEqualTypeOf<PublishRequest>()
    if (packet.cmd === 'pubcomp') expectTypeOf(packet.request).toEqualTypeOf<PublishRequest>()
    if (packet.cmd === 'suback') expectTypeOf(packet.request).toEqualTypeOf<SubscribeRequest>()
    if (packet.cmd === 'unsuback') expectTypeOf(packet.request).toEqualTypeOf<UnsubscribeRequest>()
    if (packet.cmd === 'publish') expectTypeOf(packet).toEqualTypeOf<IncomingPublish>()
  }
  expect(requestOf).toBeTypeOf('function')
})

test('an option or a field that may be undefined counts as left out', () => {
  const { USERNAME_THAT_IS_NOT_SET: username } = process.env
  const options: EventloopOptions = {
    ...{ url: 'mqtt://localhost', username, password: username, keepAlive: undefined },
    reconnect: { minMs: undefined },
    will: { topic: 'gone', payload: username, qos: undefined },
  }
  const request: PublishRequest = { cmd: 'publish', topic: 'a', payload: username, qos: undefined }
  const subscription: Subscription = { topic: 'a', qos: 0, nl: undefined }
  expect([options.username, request.payload, subscription.nl]).toEqual([
    username,
    username,
    username,
  ])
})
