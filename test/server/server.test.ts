// A server's life: listening, serving, being full, and ending.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { failsWith } from "../support/buses.js";
import { LineClient, lineServer, logOf, portOf } from "./world.js";

test("a server on port 0 says which port it took, and serves there", async (t) => {
  const server = await lineServer(t);
  const { host, port, hasTls } = server.addresses.amqp!;
  assert.equal(host, "127.0.0.1");
  assert.equal(hasTls, false);
  const client = LineClient.connect(port);
  assert.equal(await client.line(), "hello");
  assert.equal(await client.ask("anybody there?"), "anybody there?");
});

test("a port that another program has is named, with the listener and what to do", async (t) => {
  const { port } = (await lineServer(t)).addresses.amqp!;
  await failsWith(
    "LISTEN_FAILED",
    () => lineServer(t, { amqp: { port } }),
    new RegExp(`amqp cannot listen on 127.0.0.1:${port}: another program .* another port`),
  );
});

test("a server that is closed lets its clients take their leave, and then is gone", async (t) => {
  const server = await lineServer(t);
  const { port } = server.addresses.amqp!;
  const client = LineClient.connect(port);
  assert.equal(await client.line(), "hello");
  await server.close();
  assert.equal(await client.line(), "bye");
  assert.equal(await client.line(), undefined);
  const late = LineClient.connect(port);
  assert.equal(await late.line(), undefined);
});

test("clients beyond the most are sent away with a word, and a place that is free again is given away", async (t) => {
  const server = await lineServer(t, { limits: { connectionsMax: 2 } });
  const first = LineClient.connect(portOf(server));
  const second = LineClient.connect(portOf(server));
  assert.deepEqual([await first.line(), await second.line()], ["hello", "hello"]);
  const third = LineClient.connect(portOf(server));
  assert.equal(await third.line(), "full");
  assert.equal(await third.line(), undefined);
  first.socket.end();
  assert.equal(await first.line(), undefined);
  assert.equal(await LineClient.connect(portOf(server)).line(), "hello");
  const [line] = logOf(server).lines.filter(({ level }) => level === "warn");
  assert.match(line?.text ?? "", /as many connections as may be/);
  assert.deepEqual([line?.fields["protocol"], line?.fields["connectionsMax"]], ["amqp", 2]);
});

test("a flood of connections is answered, leaves a few lines in the log, and costs those who are in nothing", async (t) => {
  const server = await lineServer(t, { limits: { connectionsMax: 50 } });
  const client = LineClient.connect(portOf(server));
  assert.equal(await client.line(), "hello");
  const flood = Array.from({ length: 500 }, () =>
    connect(portOf(server), "127.0.0.1").on("error", () => undefined),
  );
  t.after(() => flood.forEach((socket) => void socket.destroy()));
  await Promise.all(flood.map(firstBytes));
  assert.equal(await client.ask("still there?"), "still there?");
  assert.equal(server.connectionCount, 50);
  const warnings = logOf(server).lines.filter(({ level }) => level === "warn").length;
  assert.ok(warnings >= 10 && warnings < 50, `${warnings} lines for 451 clients`);
});

test("a reload of the limits holds for what connects from then on", async (t) => {
  const server = await lineServer(t, { limits: { connectionsMax: 1 } });
  const first = LineClient.connect(portOf(server));
  assert.equal(await first.line(), "hello");
  assert.equal(await LineClient.connect(portOf(server)).line(), "full");
  server.reload({ limits: { connectionsMax: 2 } });
  assert.equal(await LineClient.connect(portOf(server)).line(), "hello");
  assert.equal(await first.ask("still there?"), "still there?");
});

test("a client that does not take its leave is cut when the time is over", async (t) => {
  const server = await lineServer(t);
  const client = LineClient.connect(portOf(server), { allowHalfOpen: true });
  assert.equal(await client.line(), "hello");
  await server.close(50);
  assert.equal(server.connectionCount, 0);
  const [line] = logOf(server).lines.filter(({ text }) => text === "a connection is cut");
  assert.match(String(line?.fields["reason"]), /did not take its leave/);
});

test("a server that cannot have its last listener gives the others back", async (t) => {
  const taken = portOf(await lineServer(t));
  const closed = await lineServer(t);
  await closed.close();
  const free = portOf(closed);
  await failsWith("LISTEN_FAILED", () => lineServer(t, { amqp: { port: free }, nats: { port: taken } }));
  assert.equal(portOf(await lineServer(t, { amqp: { port: free } })), free);
});

test("options that are wrong are named", async (t) => {
  const wrong = (options: object, message: RegExp) =>
    failsWith("INVALID_OPTION", () => lineServer(t, options), message);
  await wrong({ limits: { idleMs: 1 } }, /idleMs is 1; give a whole number from 1000 to/);
  await wrong({ limits: { conectionsMax: 1 } }, /conectionsMax/);
  await wrong({ amqp: { port: 70_000 } }, /port of amqp is 70000; give a whole number from 0 to 65535/);
  await wrong({ amqp: { prot: 1 } }, /prot/);
  await wrong({ amqp: "on" }, /amqp is "on"; give an address or "off"/);
});

/** Resolves when the server has said something, or has sent the client away. */
async function firstBytes(socket: Socket): Promise<void> {
  await Promise.race([once(socket, "data"), once(socket, "close")]);
}
