// A connection's life: signs of it, clients that do not read, and its end.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access, Credentials } from "../../../src/network/host.js";
import { HandServer } from "./hand-server.js";
import { connectLine } from "./world.js";

const MIB = 1024 * 1024;
const NEWS = `PUB news ${MIB}\r\n${"x".repeat(MIB)}\r\n`;
const mayPublishOnly: Access = {
  user: "mouth",
  mayPublish: (subject) => subject.startsWith("said."),
  maySubscribe: () => false,
  mayConfigure: () => false,
  mayRead: () => false,
  mayWrite: () => false,
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a client that says nothing is asked whether it lives, and let go when it does not answer", async (t) => {
  const server = await HandServer.open(t);
  const [client] = await server.raw();
  assert.equal(await client.ask(connectLine()), "");
  await server.advance(10_000);
  assert.equal(client.received, "");
  await server.advance(10_000);
  assert.equal(await client.until("\r\n"), "PING\r\n");
  await server.advance(60_000);
  assert.match(await client.rest(), /^(PING\r\n)+-ERR 'Stale Connection'\r\n$/);
});

test("a client that answers lives on", async (t) => {
  const server = await HandServer.open(t);
  const [client] = await server.raw();
  assert.equal(await client.ask(connectLine()), "");
  for (let round = 0; round < 20; round += 1) {
    await server.advance(20_000);
    client.received = "";
    assert.equal(await client.ask("PONG\r\n"), "");
  }
});

test("a client that has to say who it is and does not is let go in time", async (t) => {
  const server = await HandServer.open(t, { anonymous: undefined });
  const [client] = await server.raw();
  assert.equal(client.info["auth_required"], true);
  await server.advance(10_000);
  assert.equal(await client.rest(), "-ERR 'Authentication Timeout'\r\n");
});

test("who has to say who they are may say nothing else before", async (t) => {
  const server = await HandServer.open(t, { anonymous: undefined });
  for (const early of ["PING\r\n", "PUB foo 1\r\na\r\n", "PI", "SUB foo 1\r\n", connectLine()]) {
    const [client] = await server.raw();
    client.send(early);
    assert.equal(await client.rest(), "-ERR 'Authorization Violation'\r\n");
  }
});

test("what follows CONNECT waits until it is known who that is", async (t) => {
  const seen: Credentials[] = [];
  let decide: (access: Access | undefined) => void = () => undefined;
  const server = await HandServer.open(t, {
    anonymous: undefined,
    authenticate: (credentials) => {
      seen.push(credentials);
      return new Promise((resolve) => {
        decide = resolve;
      });
    },
  });
  const [client] = await server.raw();
  client.send(
    connectLine({ user: "mouth", pass: "secret" }),
    "PUB said.a 1\r\na\r\nSUB said.a 1\r\nPUB heard.b 1\r\nb\r\nPI",
  );
  while (seen.length === 0) await turn();
  assert.deepEqual(seen, [{ kind: "password", user: "mouth", password: "secret" }]);
  client.send("NG\r\n");
  decide(mayPublishOnly);
  assert.equal(
    await client.until("PONG\r\n"),
    `-ERR 'Permissions Violation for Subscription to "said.a"'\r\n` +
      `-ERR 'Permissions Violation for Publish to "heard.b"'\r\nPONG\r\n`,
  );
});

test("tokens and keys are handed to whoever knows them, and strangers sent away", async (t) => {
  const seen: Credentials[] = [];
  const server = await HandServer.open(t, {
    anonymous: undefined,
    authenticate: async (credentials) => {
      seen.push(credentials);
      return undefined;
    },
  });
  const [first] = await server.raw();
  first.send(connectLine({ auth_token: "t" }));
  assert.equal(await first.rest(), "-ERR 'Authorization Violation'\r\n");
  const [second] = await server.raw();
  assert.match(String(second.info["nonce"]), /^[\w-]{20,}$/);
  assert.notEqual(second.info["nonce"], first.info["nonce"]);
  second.send(connectLine({ nkey: "UABC", sig: Buffer.from("signature").toString("base64url") }));
  assert.equal(await second.rest(), "-ERR 'Authorization Violation'\r\n");
  const [token, key] = seen;
  assert.deepEqual(token, { kind: "token", token: "t" });
  assert.equal(key?.kind, "nkey");
  if (key?.kind !== "nkey") return;
  assert.equal(key.publicKey, "UABC");
  assert.equal(Buffer.from(key.nonce).toString(), second.info["nonce"]);
  assert.equal(Buffer.from(key.signature).toString(), "signature");
});

test("permissions that change hold for what is published next", async (t) => {
  let mayPublish = true;
  const changing: Access = { ...mayPublishOnly, mayPublish: () => mayPublish };
  const server = await HandServer.open(t, { anonymous: changing });
  const [client] = await server.raw();
  assert.equal(await client.ask(connectLine(), "PUB a 0\r\n\r\n"), "");
  mayPublish = false;
  assert.equal(await client.ask("PUB a 0\r\n\r\n"), `-ERR 'Permissions Violation for Publish to "a"'\r\n`);
});

test("a client that does not read is cut, and costs the others nothing", async (t) => {
  const server = await HandServer.open(t, { limits: { pendingBytesMax: 4 * MIB } });
  const [stuck, stuckConnection] = await server.raw();
  const [reader] = await server.raw();
  const [publisher] = await server.raw();
  assert.equal(await stuck.ask(connectLine(), "SUB news 1\r\n"), "");
  assert.equal(await reader.ask(connectLine(), "SUB news 1\r\n"), "");
  assert.equal(await publisher.ask(connectLine()), "");
  stuck.socket.pause();
  const body = "x".repeat(64 * 1024);
  const frame = `PUB news ${body.length}\r\n${body}\r\n`;
  let isCut = false;
  void stuckConnection.closed.then(() => {
    isCut = true;
  });
  const expected = `MSG news 1 ${body.length}\r\n${body}\r\n`;
  for (let sent = 0; !isCut; sent += 1) {
    assert.ok(sent < 1_000, "it was not cut");
    publisher.send(frame);
    // Time goes on while the publisher may be held back.
    while (reader.received.length < expected.length) {
      await turn();
      await server.advance(10);
    }
    assert.equal(await reader.until(`${body}\r\n`), expected);
  }
  assert.equal(server.count("omnibus_slow_consumers_total"), 1);
  assert.ok(server.log.lines.some(({ level, text }) => level === "warn" && text === "Slow Consumer"));
  assert.equal(await publisher.ask(), "");
});

test("a client that takes nothing of what waits for it is cut after a while", async (t) => {
  const server = await HandServer.open(t);
  const [stuck, connection] = await server.raw();
  assert.equal(await stuck.ask(connectLine(), "SUB news 1\r\n"), "");
  stuck.socket.pause();
  const [publisher] = await server.raw();
  publisher.send(connectLine());
  // More than what the system keeps for a socket.
  while (connection.describe().pendingBytes < 2 * MIB) {
    publisher.send(NEWS);
    assert.equal(await publisher.ask(), "");
  }
  for (let look = 0; look < 8; look += 1) {
    await server.advance(10_000);
    await publisher.ask();
  }
  await connection.closed;
  assert.equal(server.count("omnibus_slow_consumers_total"), 1);
});

/** A publisher that is held back and waits for a PONG, and who does not read what it publishes. */
async function heldBack(server: HandServer) {
  const [slow] = await server.raw();
  const [publisher] = await server.raw();
  assert.equal(await slow.ask(connectLine(), "SUB news 1\r\n"), "");
  assert.equal(await publisher.ask(connectLine()), "");
  slow.socket.pause();
  while (server.count("omnibus_publisher_stalls_total") === 0) {
    publisher.send(NEWS);
    await turn();
  }
  publisher.send("PING\r\n");
  return { publisher, slow };
}

test("publishers are held back for a moment when those that they publish to fall behind", async (t) => {
  const server = await HandServer.open(t);
  const { publisher, slow } = await heldBack(server);
  for (let count = 0; count < 100; count += 1) await turn();
  assert.equal(publisher.received, "");
  slow.socket.resume();
  await publisher.until("PONG\r\n");
});

test("a publisher is held back only so long for those who do not read at all", async (t) => {
  const server = await HandServer.open(t);
  const { publisher } = await heldBack(server);
  await server.advance(100);
  await publisher.until("PONG\r\n");
  for (let more = 0; more < 5; more += 1) {
    publisher.send(NEWS);
    assert.equal(await publisher.ask(), "");
  }
});

test("on shutdown a client is told to go elsewhere, served a little longer, and let go", async (t) => {
  const server = await HandServer.open(t);
  const [client, connection] = await server.raw();
  assert.equal(await client.ask(connectLine({ protocol: 1 }), "SUB a 1\r\n"), "");
  connection.shutDown();
  const info = await client.until("\r\n");
  assert.equal((JSON.parse(info.slice("INFO ".length)) as { readonly ldm: boolean }).ldm, true);
  assert.equal(await client.ask("PUB a 0\r\n\r\n"), "MSG a 1 0\r\n\r\n");
  await server.advance(1_000);
  assert.equal(await client.rest(), "");
  await connection.closed;
});

test("what a connection had is given back when it ends", async (t) => {
  const server = await HandServer.open(t);
  const [client, connection] = await server.raw();
  assert.equal(await client.ask(connectLine({ name: "short" }), "SUB a.* 1\r\nSUB b 2\r\nSUB > q 3\r\n"), "");
  assert.deepEqual(connection.describe(), {
    user: "somebody",
    client: "short",
    pendingBytes: 0,
    subscriptions: 3,
  });
  client.socket.destroy();
  await connection.closed;
  assert.equal(connection.describe().subscriptions, 0);
  assert.equal(server.broker.live.hasReceivers, false);
});

test("an end that comes in the middle of a message loses nothing before it", async (t) => {
  const server = await HandServer.open(t);
  const [subscriber] = await server.raw();
  const [client, connection] = await server.raw();
  assert.equal(await subscriber.ask(connectLine(), "SUB a 1\r\n"), "");
  client.socket.end(`${connectLine()}PUB a 1\r\nx\r\nPUB a 5\r\nxy`);
  await connection.closed;
  assert.equal(await subscriber.ask(), "MSG a 1 1\r\nx\r\n");
});
