// TLS on every listener, with certificates that openssl made.

import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:https";
import { connect as connectPlain } from "node:net";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import WebSocket from "ws";
import type { Server } from "../../src/server/server.js";
import type { ListenerName } from "../../src/server/server-options.js";
import { failsWith } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { Authority, type Certificate } from "./certificates.js";
import { LineClient, lineServer, portOf } from "./world.js";

interface Certificates {
  readonly authority: Authority;
  readonly server: Certificate;
}

async function certificates(t: TestContext): Promise<Certificates> {
  const authority = await Authority.create(await temporaryDirectory(t));
  return { authority, server: await authority.sign("server") };
}

function tlsClient(port: number, { authority }: Certificates, options: ConnectionOptions = {}): LineClient {
  const ca = authority.own.pem.certificate;
  return new LineClient(connect({ port, host: "127.0.0.1", ca, ...options }));
}

test("a listener with TLS serves clients that trust its authority, and cuts those that speak plainly", async (t) => {
  const made = await certificates(t);
  const server = await lineServer(t, { tls: made.server.pem });
  assert.equal(server.addresses.amqp?.hasTls, true);
  const client = tlsClient(portOf(server), made);
  assert.equal(await client.line(), "hello");
  const peer = JSON.parse((await client.ask("peer")) ?? "") as Record<string, unknown>;
  assert.equal(peer["isEncrypted"], true);
  assert.equal(peer["certificateName"], undefined);
  const plain = LineClient.connect(portOf(server));
  plain.socket.write("hello, this is no handshake\n");
  assert.equal(await plain.line(), undefined);
});

test("a listener may do without TLS beside others that have it", async (t) => {
  const made = await certificates(t);
  const server = await lineServer(t, { tls: made.server.pem, amqp: { port: 0, tls: false } });
  assert.equal(await LineClient.connect(portOf(server)).line(), "hello");
});

test("a protocol that begins plainly changes to TLS on the same socket", async (t) => {
  const made = await certificates(t);
  const server = await lineServer(t, { tls: made.server.pem, amqp: "off", nats: { port: 0 } });
  const client = LineClient.connect(portOf(server, "nats"));
  assert.equal(await client.line(), "hello");
  assert.equal(await client.ask("tls"), "go");
  client.socket.removeAllListeners("data");
  const secured = connect({
    socket: client.socket,
    ca: made.authority.own.pem.certificate,
    servername: "localhost",
  });
  await once(secured, "secureConnect");
  const after = new LineClient(secured);
  assert.equal(await after.line(), "secure undefined");
  assert.equal(await after.ask("still there?"), "still there?");
});

test("the name on a client's certificate is known, where one is shown and valid", async (t) => {
  const made = await certificates(t);
  const { certificate: cert, key } = (await made.authority.sign("orders")).pem;
  const stranger = await (await Authority.create(await temporaryDirectory(t), "stranger")).sign("orders");
  const authorities = made.authority.own.pem.certificate;
  const nameSeenBy = async (server: Server, options: ConnectionOptions) => {
    const client = tlsClient(portOf(server), made, options);
    if ((await client.line()) === undefined) return "refused";
    const peer = JSON.parse((await client.ask("peer")) ?? "") as Record<string, unknown>;
    return peer["certificateName"];
  };
  const optional = await lineServer(t, {
    tls: { ...made.server.pem, authorities, clientCertificates: "optional" },
  });
  const required = await lineServer(t, {
    tls: { ...made.server.pem, authorities, clientCertificates: "required" },
  });
  const forged = { cert: stranger.pem.certificate, key: stranger.pem.key };
  assert.equal(await nameSeenBy(optional, {}), undefined);
  assert.equal(await nameSeenBy(optional, { cert, key }), "orders");
  assert.equal(await nameSeenBy(optional, forged), "refused");
  assert.equal(await nameSeenBy(required, {}), "refused");
  assert.equal(await nameSeenBy(required, { cert, key }), "orders");
  assert.equal(await nameSeenBy(required, forged), "refused");
});

test("a reload changes the certificate for what connects from then on, and for HTTP", async (t) => {
  const made = await certificates(t);
  const next = await made.authority.sign("next");
  const server = await lineServer(t, { tls: made.server.pem, http: { port: 0 } });
  const nameShownAt = async (listener: ListenerName): Promise<unknown> => {
    const options = {
      port: portOf(server, listener),
      host: "127.0.0.1",
      ca: made.authority.own.pem.certificate,
    };
    const socket: TLSSocket = connect(options);
    await once(socket, "secureConnect");
    socket.on("error", () => undefined).end();
    return socket.getPeerCertificate().subject.CN;
  };
  const before = tlsClient(portOf(server), made);
  assert.equal(await before.line(), "hello");
  assert.deepEqual([await nameShownAt("amqp"), await nameShownAt("http")], ["server", "server"]);
  server.reload({ tls: next.pem });
  assert.deepEqual([await nameShownAt("amqp"), await nameShownAt("http")], ["next", "next"]);
  assert.equal(await before.ask("still there?"), "still there?");
  await failsWith(
    "INVALID_OPTION",
    () => server.reload({ tls: { ...next.pem, key: made.server.pem.key } }),
    /tls/,
  );
  await failsWith(
    "INVALID_CONFIGURATION",
    () => server.reload({}),
    /amqp is to use TLS, and there is no certif/,
  );
  assert.equal(await nameShownAt("amqp"), "next");
});

test("health and metrics come over HTTPS, and NATS over WebSockets with TLS", async (t) => {
  const made = await certificates(t);
  const ca = made.authority.own.pem.certificate;
  const server = await lineServer(t, { tls: made.server.pem, http: { port: 0 }, natsWebSocket: { port: 0 } });
  const [response] = await once(
    get({ port: portOf(server, "http"), path: "/health/ready", ca, agent: false }),
    "response",
  );
  assert.equal(response.statusCode, 200);
  const socket = new WebSocket(`wss://127.0.0.1:${portOf(server, "natsWebSocket")}`, { ca });
  const [hello] = await once(socket, "message");
  assert.equal(String(hello), "hello\n");
  socket.terminate();
});

test("a handshake that is not brought to its end ends the connection, and the place is free again", async (t) => {
  const made = await certificates(t);
  const server = await lineServer(t, { tls: made.server.pem, limits: { handshakeMs: 100 } });
  const socket = connectPlain(portOf(server), "127.0.0.1");
  await once(socket.resume(), "close");
  assert.equal(server.connectionCount, 0);
});

test("a server that is closed does not wait for handshakes", async (t) => {
  const made = await certificates(t);
  const server = await lineServer(t, { tls: made.server.pem, limits: { handshakeMs: 600_000 } });
  const socket = connectPlain(portOf(server), "127.0.0.1").on("error", () => undefined);
  await once(socket, "connect");
  const closed = once(socket.resume(), "close");
  while (server.connectionCount === 0) await new Promise(setImmediate);
  await server.close(600_000);
  await closed;
});

test("certificates of clients count only with an authority that is named", async (t) => {
  const { server } = await certificates(t);
  await failsWith(
    "INVALID_OPTION",
    () => lineServer(t, { tls: { ...server.pem, clientCertificates: "optional" } }),
    /tls\.authorities is undefined; give in PEM who signs/,
  );
});
