// What the server answers over HTTP and in WebSockets.

import assert from "node:assert/strict";
import { on, once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import parsePrometheus from "parse-prometheus-text-format";
import WebSocket from "ws";
import { embedded } from "../../src/index.js";
import { systemIo } from "../../src/io/system-io.js";
import { FaultySyncFiles } from "../support/faulty-sync-files.js";
import { brokerOf, LineClient, lineServer, portOf } from "./world.js";

const HTTP = { http: { port: 0 } } as const;

test("the server says that it lives and that it is ready, and not while it is being closed", async (t) => {
  const server = await lineServer(t, HTTP);
  const url = `http://127.0.0.1:${portOf(server, "http")}`;
  const status = async (path: string) => (await fetch(`${url}${path}`)).status;
  assert.equal(await status("/health/live"), 200);
  assert.equal(await status("/health/ready"), 200);
  assert.equal(await status("/nothing"), 404);
  assert.equal((await fetch(`${url}/health/ready`, { method: "POST" })).status, 405);
  const client = LineClient.connect(portOf(server), { allowHalfOpen: true });
  assert.equal(await client.line(), "hello");
  const closing = server.close();
  assert.equal(await status("/health/live"), 200);
  const ready = await fetch(`${url}/health/ready`);
  assert.deepEqual([ready.status, await ready.text()], [503, "the server is being closed\n"]);
  assert.equal(await client.line(), "bye");
  client.socket.end();
  await closing;
  await assert.rejects(fetch(`${url}/health/live`));
});

/** A disk that fails to sync from some moment on. */
class FailingFiles extends FaultySyncFiles {
  hasFailed = false;

  protected override async beforeSync(): Promise<void> {
    if (this.hasFailed) throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
  }
}

test("the server is not ready when its disk has failed, and says so", async (t) => {
  const files = new FailingFiles();
  const server = await lineServer(t, HTTP, embedded({ directory: "data", io: { ...systemIo, files } }));
  const url = `http://127.0.0.1:${portOf(server, "http")}/health/ready`;
  assert.equal((await fetch(url)).status, 200);
  files.hasFailed = true;
  await assert.rejects(brokerOf(server).declareQueue("jobs"));
  const ready = await fetch(url);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /EIO/);
});

test("the metrics are those of the bus, of the protocols and of the connections", async (t) => {
  const server = await lineServer(t, HTTP);
  const client = LineClient.connect(portOf(server));
  assert.equal(await client.line(), "hello");
  const response = await fetch(`http://127.0.0.1:${portOf(server, "http")}/metrics`);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const families = parsePrometheus(await response.text());
  const sampleOf = (name: string, label: string | undefined, value: string | undefined) => {
    const family = families.find((one) => one.name === name);
    const sample = family?.metrics.find(({ labels }) => label === undefined || labels?.[label] === value);
    return [family?.type, sample?.value];
  };
  assert.deepEqual(sampleOf("omnibus_connections", "protocol", "amqp"), ["GAUGE", "1"]);
  assert.deepEqual(sampleOf("omnibus_connections_opened_total", "protocol", "amqp"), ["COUNTER", "1"]);
  assert.deepEqual(sampleOf("omnibus_lines_total", "protocol", "amqp"), ["COUNTER", "1"]);
  assert.deepEqual(sampleOf("omnibus_queues", undefined, undefined), ["GAUGE", "0"]);
  assert.deepEqual(sampleOf("omnibus_connections_refused_total", "reason", "full"), ["COUNTER", "0"]);
});

test("what is no HTTP, or never ends, costs nothing but its own connection", async (t) => {
  const server = await lineServer(t, HTTP);
  const socket = connect(portOf(server, "http"), "127.0.0.1");
  socket.write(`GET / HTTP/1.1\r\nx: ${"y".repeat(64 * 1024)}\r\n\r\n`);
  socket.on("error", () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  assert.equal((await fetch(`http://127.0.0.1:${portOf(server, "http")}/health/live`)).status, 200);
});

test("NATS is spoken inside of WebSockets, in frames cut anywhere", async (t) => {
  const server = await lineServer(t, { natsWebSocket: { port: 0 }, amqp: "off" });
  const socket = new WebSocket(`ws://127.0.0.1:${portOf(server, "natsWebSocket")}/any/path`);
  const frames = on(socket, "message");
  const heard = async (count: number): Promise<string> => {
    let text = "";
    while (text.split("\n").length <= count) text += String((await frames.next()).value[0]);
    return text;
  };
  assert.equal(await heard(1), "hello\n");
  for (const piece of ["p", "ing?\nan", "other\n"]) socket.send(Buffer.from(piece));
  assert.equal(await heard(2), "ping?\nanother\n");
  assert.equal(server.connectionCount, 1);
  socket.terminate();
});

test("a page of another site gets no WebSocket, unless its origin is allowed", async (t) => {
  const cautious = await lineServer(t, { natsWebSocket: { port: 0 } });
  const open = await lineServer(t, { natsWebSocket: { port: 0, origins: ["https://shop.example"] } });
  const outcome = async (port: number, origin: string | undefined) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, origin === undefined ? {} : { origin });
    const [event] = await Promise.race([
      once(socket, "open").then(() => ["open"]),
      once(socket, "unexpected-response").then(([, response]) => [response.statusCode]),
    ]);
    socket.on("error", () => undefined).terminate();
    return event;
  };
  const cautiousPort = portOf(cautious, "natsWebSocket");
  assert.equal(await outcome(cautiousPort, undefined), "open");
  assert.equal(await outcome(cautiousPort, "http://localhost:5173"), "open");
  assert.equal(await outcome(cautiousPort, "https://evil.example"), 403);
  assert.equal(await outcome(cautiousPort, "null"), 403);
  const openPort = portOf(open, "natsWebSocket");
  assert.equal(await outcome(openPort, "https://shop.example"), "open");
  assert.equal(await outcome(openPort, "http://localhost:5173"), 403);
});

test("a request that wants no WebSocket is told so", async (t) => {
  const server = await lineServer(t, { natsWebSocket: { port: 0 } });
  const response = await fetch(`http://127.0.0.1:${portOf(server, "natsWebSocket")}`);
  assert.deepEqual([response.status, response.headers.get("upgrade")], [426, "websocket"]);
});
