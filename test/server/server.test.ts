// A server's life: listening, serving, being full, and ending.

import assert from "node:assert/strict";
import { test } from "node:test";
import { failsWith } from "../support/buses.js";
import { LineClient, lineServer } from "./world.js";

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
