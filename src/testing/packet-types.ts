/**
 * Which packets does the broker read and write? Types only. Their words and fields are those of
 * the package mqtt-packet.
 */
import type {
  AuthPacketOf,
  ConnackPacketOf,
  ConnectPacket,
  DisconnectPacket,
  PingreqPacket,
  PingrespPacket,
  PubackPacket,
  PubcompPacket,
  PublishPacket,
  PubrecPacket,
  PubrelPacket,
  SubackPacket,
  SubscribePacket,
  UnsubackPacket,
  UnsubscribePacket,
} from '../protocol/packets.ts'

/** An acknowledgement of a message, in either direction. */
export type MessageAck = PubackPacket | PubrecPacket | PubrelPacket | PubcompPacket

/** A packet that a client sends. */
export type PacketFromClient =
  | ConnectPacket
  | PublishPacket
  | MessageAck
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacketOf

/** A packet that the broker sends. */
export type PacketFromBroker =
  | ConnackPacketOf
  | PublishPacket
  | MessageAck
  | SubackPacket
  | UnsubackPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacketOf
