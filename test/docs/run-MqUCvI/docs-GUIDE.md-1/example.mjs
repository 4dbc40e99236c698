import { eventloop, publish } from "it-mqtt";
const requests = [
  publish("plant/1/temperature", "21.5", { qos: 1 }),
  publish("plant/2/temperature", "19.0", { qos: 1 })
];
for await (const packet of eventloop("mqtt://127.0.0.1:34319", requests)) {
  if (packet.cmd === "connack") console.log("connected");
  if (packet.cmd === "puback" && packet.request.cmd === "publish") {
    console.log("delivered", packet.request.topic);
  }
}
console.log("done");
