/** MQTT 3.1.1 over WebSocket: every statement and situation (websocket.ts). */
import { test } from 'vitest'
import * as webSocket from './websocket.ts'

test('[MQTT-6.0.0-1] [W01] binary frames only: a text frame with good bytes closes the connection', () =>
  webSocket.textFrame(4))
test('[MQTT-6.0.0-2] [W03] packets and frames are cut anywhere, and a frame may be empty', () =>
  webSocket.frames(4))
test('[MQTT-6.0.0-3] the sub-protocol mqtt is offered; user and password go to MQTT', () =>
  webSocket.offers(4))
test.each([false, 'mqttv3.1'] as const)(
  '[MQTT-6.0.0-4] [W02] a handshake that selects %s fails',
  (selected) => webSocket.subProtocol(4, selected),
)
test('[W04] a close frame in the middle of a packet is a lost connection', () =>
  webSocket.closedWithin(4))
test('[W05] a frame far larger than a packet may be closes the connection', () =>
  webSocket.largeFrame(4))
test('the end leaves nothing', () => webSocket.ends(4))
test('connectTimeout covers the upgrade', () => webSocket.silentUpgrade(4))
test('the default keep-alive stays below what load balancers bear', () => webSocket.keepsAlive(4))
