import { eventloop, publish, subscribe } from "it-mqtt";
async function* requests() {
  yield subscribe("plant/+/temperature", { qos: 1 });
  for (const value of ["21.5", "21.7", "21.6"]) {
    yield publish("plant/7/temperature", value, { qos: 1 });
  }
}
const loop = eventloop("mqtt://127.0.0.1:34319", requests());
let received = 0;
for await (const packet of loop) {
  if (packet.cmd === "connack") console.log("connected");
  if (packet.cmd !== "publish") continue;
  console.log(packet.topic, packet.payload.toString());
  if (++received === 3) break;
}
