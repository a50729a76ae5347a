// Who may come in over NATS and what they may do; TLS and WebSockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type NatsConnection, nkeyAuthenticator, nkeys, wsconnect } from "@nats-io/transport-node";
import WebSocket from "ws";
import { hashPassword } from "../../../src/server/index.js";
import { Authority } from "../../server/certificates.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { connectLine, World } from "./world.js";

/** The next error that the client tells its application of. */
async function nextError(client: NatsConnection): Promise<string> {
  for await (const status of client.status()) if (status.type === "error") return String(status.error);
  throw new Error("the client was closed");
}

test("a key of NATS lets its owner in, and nobody else", async (t) => {
  const [owner, stranger] = [nkeys.createUser(), nkeys.createUser()];
  const world = await World.open(t, { users: [{ name: "service", nkey: owner.getPublicKey() }] });
  const client = await world.client({ authenticator: nkeyAuthenticator(owner.getSeed()) });
  assert.equal(client.info?.auth_required, true);
  await client.flush();
  await assert.rejects(
    world.client({ authenticator: nkeyAuthenticator(stranger.getSeed()) }),
    /authorization violation/i,
  );
  await assert.rejects(world.client(), /authorization violation/i);
});

test("passwords and tokens let in whose they are", async (t) => {
  const world = await World.open(t, {
    users: [
      { name: "ann", password: await hashPassword("secret") },
      { name: "bot", token: await hashPassword("t0ken") },
    ],
  });
  await (await world.client({ user: "ann", pass: "secret" })).flush();
  await (await world.client({ token: "t0ken" })).flush();
  await assert.rejects(world.client({ user: "ann", pass: "wrong" }), /authorization violation/i);
  await assert.rejects(world.client({ token: "wrong" }), /authorization violation/i);
});

test("a user publishes and subscribes where permissions allow it, and is told where they do not", async (t) => {
  const world = await World.open(t, {
    users: [
      {
        name: "ann",
        password: await hashPassword("secret"),
        permissions: { publish: ["order.#"], subscribe: ["order.*", "_INBOX.#"] },
      },
    ],
  });
  const client = await world.client({ user: "ann", pass: "secret" });
  const seen: string[] = [];
  client.subscribe("order.*", { callback: (_error, message) => void seen.push(message.subject) });
  client.publish("order.placed");
  await client.flush();
  assert.deepEqual(seen, ["order.placed"]);
  const refusedPublish = nextError(client);
  client.publish("payment.made");
  assert.match(await refusedPublish, /Permissions Violation for Publish to "payment\.made"/);
  let refusal: Error | null = null;
  client.subscribe("order.>", {
    queue: "q",
    callback: (error) => {
      refusal = error;
    },
  });
  await client.flush();
  assert.match(String(refusal), /Permissions Violation for Subscription to "order\.>" using queue "q"/);
});

test("TLS begins after the server's first line, and clients without it are told so", async (t) => {
  const authority = await Authority.create(await temporaryDirectory(t));
  const { pem } = await authority.sign("server");
  const world = await World.open(t, { tls: pem });
  const client = await world.client({ tls: { ca: authority.own.pem.certificate } });
  assert.equal(client.info?.tls_required, true);
  const subscription = client.subscribe("secret", { max: 1 });
  client.publish("secret", "x".repeat(100_000));
  for await (const message of subscription) assert.equal(message.string().length, 100_000);
  const plain = await world.raw();
  plain.send(connectLine(), "PING\r\n");
  assert.equal(await plain.rest(), "-ERR 'Secure Connection - TLS Required'\r\n");
});

test("a client's certificate says who it is", async (t) => {
  const authority = await Authority.create(await temporaryDirectory(t));
  const { pem } = await authority.sign("server");
  const world = await World.open(t, {
    tls: { ...pem, authorities: authority.own.pem.certificate, clientCertificates: "optional" },
    users: [{ name: "orders", certificate: "orders" }],
  });
  const own = (await authority.sign("orders")).pem;
  const other = (await authority.sign("others")).pem;
  const ca = authority.own.pem.certificate;
  await (await world.client({ tls: { ca, cert: own.certificate, key: own.key } })).flush();
  await assert.rejects(
    world.client({ tls: { ca, cert: other.certificate, key: other.key } }),
    /authorization violation/i,
  );
});

test("NATS over WebSocket is the same bus", async (t) => {
  const world = await World.open(t, { natsWebSocket: { port: 0 } });
  const { port } = world.server.addresses.natsWebSocket!;
  Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket });
  const browser = await wsconnect({ servers: `ws://127.0.0.1:${port}`, reconnect: false });
  t.after(() => browser.close());
  const client = await world.client();
  client.subscribe("greet", {
    callback: (_error, message) => void message.respond(`hello ${message.string()}`),
  });
  await client.flush();
  const answer = await browser.request("greet", "web", { timeout: 5_000 });
  assert.equal(answer.string(), "hello web");
  await assert.rejects(browser.request("nobody", "", { timeout: 5_000 }), /no responders/i);
});

test("nobody has an answer put into a queue whose subject they may not publish to", async (t) => {
  const password = await hashPassword("secret");
  const world = await World.open(t, {
    users: [{ name: "ann", password, permissions: { publish: ["#", "_queue.hers"], subscribe: ["#"] } }],
  });
  const client = await world.client({ user: "ann", pass: "secret" });
  const replies: (string | undefined)[] = [];
  client.subscribe("asked", { callback: (_error, message) => void replies.push(message.reply) });
  const refused = nextError(client);
  client.publish("asked", "", { reply: "_queue.theirs" });
  client.publish("asked", "", { reply: "_queue.hers" });
  client.publish("asked", "", { reply: "_quite.other" });
  await client.flush();
  assert.deepEqual(replies, ["_queue.hers", "_quite.other"]);
  assert.match(await refused, /Permissions Violation for Publish to "_queue.theirs"/);
});
