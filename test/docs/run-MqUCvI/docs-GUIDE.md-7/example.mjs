import { eventloop, publish, subscribe } from "it-mqtt";
const status = "device/7/status";
const device = eventloop({
  url: "mqtt://127.0.0.1:40737",
  clientId: "device-7",
  until: "closed",
  // it sends nothing but births, and shall stay connected
  will: { topic: status, payload: "offline", qos: 1, retain: true },
  onConnected: () => [publish(status, "online", { qos: 1, retain: true })],
  disconnectReason: 4
  // at an orderly end, too, the server publishes the will (MQTT 5)
});
const watcher = eventloop("mqtt://127.0.0.1:40737", [subscribe(status, { qos: 1 })]);
for await (const packet of watcher) {
  if (packet.cmd === "suback") await device.next();
  if (packet.cmd !== "publish") continue;
  console.log("device 7 is", packet.payload.toString());
  if (packet.payload.toString() === "offline") break;
  device.disconnect();
}
