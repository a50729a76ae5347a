// Real clients of AMQP and NATS through what the server adds: TLS, users, permissions, WebSockets.

import assert from "node:assert/strict";
import { connect as connectSocket } from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { connect, type NatsConnection, type NodeConnectionOptions, wsconnect } from "@nats-io/transport-node";
import { connect as connectAmqp, credentials } from "amqplib";
import WebSocket from "ws";
import { memory, openBus } from "../../src/index.js";
import { hashPassword, openServer, type ServerOptions } from "../../src/server/index.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { Authority } from "./certificates.js";

async function served(t: TestContext, options: ServerOptions) {
  const bus = await openBus(memory());
  t.after(() => bus.close());
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const server = await openServer(bus, { amqp: "off", http: "off", nats: { port: 0 }, log, ...options });
  t.after(() => server.close(0));
  return server;
}

/** What a client hears that publishes to itself. */
async function echoes(connecting: Promise<NatsConnection>): Promise<string> {
  const client = await connecting;
  try {
    const subscription = client.subscribe("order.*", { max: 1 });
    await client.flush();
    client.publish("order.placed", "hello");
    for await (const message of subscription) return message.string();
    return "nothing";
  } finally {
    await client.close();
  }
}

function once(options: NodeConnectionOptions): Promise<NatsConnection> {
  return connect({ reconnect: false, ...options });
}

test("a NATS client talks through TLS with its password, and with its certificate", async (t) => {
  const authority = await Authority.create(await temporaryDirectory(t));
  const [own, client] = [await authority.sign("server"), await authority.sign("orders")];
  const ca = authority.own.pem.certificate;
  const server = await served(t, {
    tls: { ...own.pem, authorities: ca, clientCertificates: "optional" },
    users: [
      { name: "ada", password: await hashPassword("s3cret") },
      { name: "orders", certificate: "orders" },
    ],
  });
  const servers = `tls://localhost:${server.addresses.nats?.port}`;
  assert.equal(await echoes(once({ servers, user: "ada", pass: "s3cret", tls: { ca } })), "hello");
  const { certificate: cert, key } = client.pem;
  assert.equal(await echoes(once({ servers, tls: { ca, cert, key } })), "hello");
  await assert.rejects(
    echoes(once({ servers, user: "ada", pass: "wrong", tls: { ca } })),
    /Authorization|authentication/i,
  );
  await assert.rejects(echoes(once({ servers, user: "ada", pass: "s3cret" })));
});

test("a NATS client talks through a WebSocket", async (t) => {
  const server = await served(t, { nats: "off", natsWebSocket: { port: 0 } });
  const servers = `ws://127.0.0.1:${server.addresses.natsWebSocket?.port}`;
  assert.equal(
    await echoes(
      // Node 20 has no WebSocket of its own.
      wsconnect({
        servers,
        wsFactory: async (url) => ({
          socket: new WebSocket(url) as unknown as globalThis.WebSocket,
          encrypted: false,
        }),
      }),
    ),
    "hello",
  );
});

test("a NATS client is told what it may not do, and may do the rest", async (t) => {
  const permissions = { publish: ["order.#"], subscribe: ["order.#"] };
  const server = await served(t, {
    users: [{ name: "ada", password: await hashPassword("s3cret"), permissions }],
  });
  const servers = `nats://127.0.0.1:${server.addresses.nats?.port}`;
  assert.equal(await echoes(once({ servers, user: "ada", pass: "s3cret" })), "hello");
  const client = await connect({ servers, user: "ada", pass: "s3cret" });
  t.after(() => client.close());
  const refused = await new Promise((resolve) => {
    client.subscribe(">", { callback: (error) => resolve(error) });
  });
  assert.match(String(refused), /permission/i);
});

test("an AMQP client talks through TLS with its password, and with its certificate", async (t) => {
  const authority = await Authority.create(await temporaryDirectory(t));
  const [own, client] = [await authority.sign("server"), await authority.sign("orders")];
  const ca = authority.own.pem.certificate;
  const server = await served(t, {
    nats: "off",
    amqp: { port: 0 },
    tls: { ...own.pem, authorities: ca, clientCertificates: "optional" },
    users: [
      { name: "ada", password: await hashPassword("s3cret") },
      { name: "orders", certificate: "orders", permissions: { configure: ["orders.*"] } },
    ],
  });
  const url = (user: string) => `amqps://${user}localhost:${server.addresses.amqp?.port}`;
  const ada = await connectAmqp(url("ada:s3cret@"), { ca: [ca] });
  await (await ada.createChannel()).assertQueue("anything");
  await ada.close();
  const { certificate: cert, key } = client.pem;
  const orders = await connectAmqp(url(""), { ca: [ca], cert, key, credentials: credentials.external() });
  await (await orders.createChannel()).assertQueue("orders.placed");
  const channel = await orders.createChannel();
  channel.on("error", () => undefined);
  await assert.rejects(channel.assertQueue("jobs"), /403 \(ACCESS-REFUSED\)|ACCESS_REFUSED/);
  await orders.close();
  await assert.rejects(connectAmqp(url("ada:wrong@"), { ca: [ca] }), /403|ACCESS_REFUSED|ACCESS-REFUSED/);
  await assert.rejects(connectAmqp(url(""), { ca: [ca], credentials: credentials.external() }));
});

test("an AMQP client comes in by each mechanism with a password, and by none with a wrong one", async (t) => {
  const server = await served(t, {
    nats: "off",
    amqp: { port: 0 },
    users: [{ name: "ada", password: await hashPassword("s3cret") }],
  });
  const url = `amqp://localhost:${server.addresses.amqp?.port}`;
  for (const mechanism of [credentials.plain, credentials.amqplain]) {
    const client = await connectAmqp(url, { credentials: mechanism("ada", "s3cret") });
    await (await client.createChannel()).assertQueue("jobs");
    await client.close();
    await assert.rejects(
      connectAmqp(url, { credentials: mechanism("ada", "wrong") }),
      /403|ACCESS_REFUSED|ACCESS-REFUSED/,
    );
  }
});

test("an AMQP client proves itself again while it is connected, and is cut when it cannot", async (t) => {
  const server = await served(t, {
    nats: "off",
    amqp: { port: 0 },
    users: [{ name: "ada", password: await hashPassword("s3cret") }],
  });
  const client = await connectAmqp(`amqp://ada:s3cret@localhost:${server.addresses.amqp?.port}`);
  const ended = new Promise((resolve) => client.once("error", resolve));
  await client.updateSecret(Buffer.from("s3cret"), "it was renewed");
  await (await client.createChannel()).assertQueue("jobs");
  const taken = client.updateSecret(Buffer.from("wrong"), "it was guessed").then(
    () => "it was taken",
    () => ended,
  );
  assert.match(String(await Promise.race([ended, taken])), /530 \(NOT[_-]ALLOWED\).*New secret was refused/);
});

test("a client that never says who it is is cut when its time is over, on every listener", async (t) => {
  const server = await served(t, {
    nats: { port: 0 },
    amqp: { port: 0 },
    natsWebSocket: { port: 0 },
    users: [{ name: "ada", password: await hashPassword("s3cret") }],
    limits: { handshakeMs: 200 },
  });
  const { amqp, nats, natsWebSocket } = server.addresses;
  const closed = [amqp, nats].map(async (address) => {
    const socket = connectSocket(address?.port ?? 0, "127.0.0.1").on("error", () => undefined);
    await new Promise<void>((resolve) => socket.resume().once("close", () => resolve()));
  });
  const socket = new WebSocket(`ws://127.0.0.1:${natsWebSocket?.port}`).on("error", () => undefined);
  await Promise.all([...closed, new Promise<void>((resolve) => socket.once("close", () => resolve()))]);
  while (server.connectionCount > 0) await new Promise(setImmediate);
});
