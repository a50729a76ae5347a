// Prometheus: the numbers of every queue, topic and group, for whoever scrapes them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { memory, openBus } from "omnibus";
import { prometheus } from "omnibus/prometheus";

await using bus = await openBus(memory());
await bus.queue("thumbnails").sendMany(["cat.jpg", "dog.jpg", "fish.jpg"]);

const metrics = prometheus(bus, { sourcesMax: 100 });
const server = createServer((_, response) => {
  response.setHeader("content-type", metrics.contentType);
  response.end(metrics.text());
}).listen(0, "127.0.0.1");
await once(server, "listening");

const { port } = server.address() as AddressInfo;
const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
console.log(
  text
    .split("\n")
    .filter((line) => line.includes("thumbnails"))
    .join("\n"),
);
assert.match(text, /^omnibus_queue_waiting_messages\{queue="thumbnails"\} 3$/m);
server.closeAllConnections();
server.close();
