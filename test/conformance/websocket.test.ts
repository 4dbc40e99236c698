/** MQTT 5 over WebSocket: every statement and situation (websocket.ts). */
import { test } from 'vitest'
import * as webSocket from './websocket.ts'

test('[MQTT-6.0.0-1] [W01] binary frames only: a text frame with good bytes closes the connection', () =>
  webSocket.textFrame(5))
test('[MQTT-6.0.0-2] [W03] packets and frames are cut anywhere, and a frame may be empty', () =>
  webSocket.frames(5))
test('[MQTT-6.0.0-3] the sub-protocol mqtt is offered; user and password go to MQTT', () =>
  webSocket.offers(5))
test.each([false, 'mqttv3.1'] as const)(
  '[MQTT-6.0.0-4] [W02] a handshake that selects %s fails',
  (selected) => webSocket.subProtocol(5, selected),
)
test('[T1] [W04] a close frame in the middle of a packet is a lost connection', () =>
  webSocket.closedWithin(5))
test('[T1] [W05] a frame far larger than a packet may be closes the connection', () =>
  webSocket.largeFrame(5))
test('the end leaves nothing', () => webSocket.ends(5))
test('[T2] connectTimeout covers the upgrade', () => webSocket.silentUpgrade(5))
test('[T2] the default keep-alive stays below what load balancers bear', () =>
  webSocket.keepsAlive(5))
