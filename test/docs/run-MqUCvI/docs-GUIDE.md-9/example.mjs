import { ConnectionError, connect, eventloop, publish } from "it-mqtt";
try {
  await connect("mqtt://localhost:1");
} catch (error) {
  if (error instanceof ConnectionError) console.log(error.code, "retryable:", error.retryable);
}
const connected = await connect("mqtt://127.0.0.1:34319");
for await (const packet of eventloop(connected, [publish("a", "b", { qos: 1 })])) {
  console.log(packet.cmd);
}
