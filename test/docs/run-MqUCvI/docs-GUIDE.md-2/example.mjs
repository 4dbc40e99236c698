import { eventloop, matches, publish, subscribe } from "it-mqtt";
const handlers = {
  "plant/+/temperature": ({ topic, payload }) => console.log(topic, Number(payload.toString())),
  "plant/+/door": ({ topic, payload }) => console.log(topic, payload.toString())
};
const loop = eventloop("mqtt://127.0.0.1:34319", [
  subscribe(Object.keys(handlers), { qos: 1 }),
  publish("plant/7/temperature", "21.5", { qos: 1 }),
  publish("plant/7/door", "open", { qos: 1 })
]);
let received = 0;
for await (const packet of loop) {
  if (packet.cmd !== "publish") continue;
  for (const [filter, handle] of Object.entries(handlers)) {
    if (matches(filter, packet.topic)) handle(packet);
  }
  if (++received === 2) break;
}
