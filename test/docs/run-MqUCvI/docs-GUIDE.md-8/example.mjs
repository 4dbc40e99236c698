import { eventloop } from "it-mqtt";
const loop = eventloop({
  url: "mqtt://127.0.0.1:34319",
  clientId: "guide-reconnect",
  until: "closed",
  reconnect: {
    when: "always",
    minMs: 10,
    // the shortest delay; default 100
    maxMs: 1e3,
    // its random part grows up to this; default 30,000
    retryable: ({ code, retryable }) => retryable || code === "NOT_AUTHORIZED"
  }
});
let connections = 0;
for await (const packet of loop) {
  if (packet.cmd !== "connack") continue;
  connections++;
  console.log("connection", connections);
  if (connections === 2) break;
  loop.reconnect();
}
