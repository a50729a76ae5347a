import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { NO_FIELDS } from "../../../src/protocols/amqp/wire/fields.js";
import { FRAME_BODY, FRAME_HEADER, FRAME_METHOD } from "../../../src/protocols/amqp/wire/frames.js";
import type { Method } from "../../../src/protocols/amqp/wire/methods.js";
import { frame, headerFrame, methodFrame, PROTOCOL_HEADER, publishFrames, RawClient } from "./raw-client.js";
import { serve } from "./serving.js";

/** How the server closes the connection. */
async function closeOf(client: RawClient): Promise<Method<"connection.close">> {
  const close = await client.expect("connection.close");
  client.send(0, "connection.close-ok", {});
  client.socket.end();
  await client.ended();
  return close;
}

async function failure(client: RawClient): Promise<string> {
  const { replyCode, replyText } = await closeOf(client);
  return `${replyCode} ${replyText}`;
}

test("a client that speaks another protocol is told which one is spoken here, and cut", async (t) => {
  const { port } = await serve(t);
  const client = new RawClient(port);
  client.isFramed = false;
  client.socket.write("GET / HTTP/1.1\r\n\r\n");
  await client.ended();
  assert.deepEqual(Buffer.concat(client.bytes), PROTOCOL_HEADER);
});

test("the handshake offers RabbitMQ's mechanisms, capabilities and limits", async (t) => {
  const { port } = await serve(t);
  const client = new RawClient(port);
  client.socket.write(PROTOCOL_HEADER);
  const start = await client.expect("connection.start");
  assert.deepEqual([start.versionMajor, start.versionMinor], [0, 9]);
  assert.match(start.mechanisms.toString(), /\bPLAIN\b/);
  assert.match(start.mechanisms.toString(), /\bAMQPLAIN\b/);
  const capabilities = start.serverProperties.get("capabilities");
  assert.equal(capabilities?.type, "table");
  assert.deepEqual(capabilities.type === "table" && capabilities.value.get("publisher_confirms"), {
    type: "bool",
    value: true,
  });
  client.send(0, "connection.start-ok", {
    clientProperties: NO_FIELDS,
    mechanism: "PLAIN",
    response: Buffer.from("\0guest\0guest"),
    locale: "en_US",
  });
  const tune = await client.expect("connection.tune");
  assert.deepEqual([tune.channelMax, tune.frameMax, tune.heartbeat], [2047, 131_072, 60]);
  client.destroy();
});

test("a client opens a channel, closes it, and closes the connection", async (t) => {
  const { port, lines } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel(7);
  client.send(7, "channel.close", { replyCode: 200, replyText: "", classId: 0, methodId: 0 });
  await client.expect("channel.close-ok");
  await client.openChannel(7);
  client.send(0, "connection.close", { replyCode: 200, replyText: "", classId: 0, methodId: 0 });
  await client.expect("connection.close-ok");
  await client.ended();
  assert.deepEqual(lines, []);
});

const hardErrors: readonly [string, (client: RawClient) => void, string][] = [
  [
    "a method on a channel that is not open",
    (client) => client.send(3, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false }),
    "504 CHANNEL_ERROR - expected 'channel.open'",
  ],
  [
    "a channel that is opened twice",
    (client) => {
      client.send(1, "channel.open", { outOfBand: "" });
    },
    "504 CHANNEL_ERROR - second 'channel.open' seen",
  ],
  [
    "a frame of an unknown type",
    (client) => client.socket.write(frame(9, 1, Buffer.from([1, 2]))),
    "501 FRAME_ERROR - type 9, all octets = <<1,2>>: unknown_frame",
  ],
  [
    "a heartbeat on a channel",
    (client) => client.socket.write(frame(8, 1, Buffer.alloc(0))),
    "505 UNEXPECTED_FRAME - type 8, all octets = <<>>",
  ],
  [
    "a body where a method has to be",
    (client) => client.socket.write(frame(FRAME_BODY, 1, Buffer.from("x"))),
    "505 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
  ],
  [
    "a method where a header has to be",
    (client) => {
      const [method] = split(publishFrames(1, "", "q", Buffer.from("x")));
      client.socket.write(Buffer.concat([method!, method!]));
    },
    "505 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
  ],
  [
    "a header of another class",
    (client) => {
      const [method] = split(publishFrames(1, "", "q", Buffer.from("x")));
      const header = headerFrame(1, 1);
      header.writeUInt16BE(50, 7);
      client.socket.write(Buffer.concat([method!, header]));
    },
    "505 UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
  ],
  [
    "content on channel 0",
    (client) => client.socket.write(frame(FRAME_HEADER, 0, Buffer.from([1]))),
    "501 FRAME_ERROR - type 2, all octets = <<1>>: unknown_frame",
  ],
  [
    "a method of channels on channel 0",
    (client) => client.send(0, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false }),
    "504 CHANNEL_ERROR - unexpected method in connection state running",
  ],
  [
    "a frame that does not end as frames do",
    (client) => {
      const bytes = frame(FRAME_METHOD, 1, Buffer.from([0, 20, 0, 40]));
      bytes[bytes.length - 1] = 7;
      client.socket.write(bytes);
    },
    "501 FRAME_ERROR - type 1, all octets = <<0,20,0,40>>: {invalid_frame_end_marker,7}",
  ],
  [
    "a frame beyond the negotiated size",
    (client) => client.socket.write(frame(FRAME_BODY, 1, Buffer.alloc(131_073))),
    "501 FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}",
  ],
];

for (const [what, act, expected] of hardErrors) {
  test(`${what} closes the connection with RabbitMQ's words`, async (t) => {
    const { port } = await serve(t);
    const client = await RawClient.open(port);
    await client.openChannel();
    act(client);
    assert.equal(await failure(client), expected);
  });
}

/** The frames in `bytes`. */
function split(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 3);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

test("more channels than were agreed on are refused", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port, { channelMax: 2 });
  await client.openChannel(1);
  await client.openChannel(2);
  client.send(3, "channel.open", { outOfBand: "" });
  assert.equal(
    await failure(client),
    "530 NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
  );
});

test("limits beyond those offered are refused", async (t) => {
  const { port } = await serve(t);
  const client = new RawClient(port);
  await client.startOk();
  await client.expect("connection.tune");
  client.send(0, "connection.tune-ok", { channelMax: 0, frameMax: 131_072, heartbeat: 0 });
  assert.equal(
    await failure(client),
    "530 NOT_ALLOWED - negotiated channel_max = 0 is higher than the maximum allowed value (2047)",
  );
});

test("what was published before a close is stored, and a message is there for its publisher at once", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel();
  await client.declareQueue("q");
  client.publish("", "q", Buffer.from("one"));
  client.send(1, "basic.get", { ticket: 0, queue: "q", noAck: true });
  await client.expect("basic.get-ok");
  await client.next();
  await client.next();
  // Held while the purge waits, and not lost by the close that follows at once.
  client.send(1, "queue.purge", { ticket: 0, queue: "q", noWait: true });
  client.publish("", "q", Buffer.from("two"));
  await client.close();
  const other = await RawClient.open(port);
  await other.openChannel();
  other.send(1, "basic.get", { ticket: 0, queue: "q", noAck: true });
  await other.expect("basic.get-ok");
});

test("another virtual host is not found", async (t) => {
  const { port } = await serve(t);
  const client = new RawClient(port);
  await client.startOk();
  const { channelMax, frameMax } = await client.expect("connection.tune");
  client.send(0, "connection.tune-ok", { channelMax, frameMax, heartbeat: 0 });
  client.send(0, "connection.open", { virtualHost: "other", capabilities: "", insist: false });
  assert.equal(await failure(client), "530 NOT_ALLOWED - vhost other not found");
});

test("a message that declares more than is allowed is refused at its header, and the channel is closed", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel();
  const method = { ticket: 0, exchange: "", routingKey: "q", mandatory: false, immediate: false };
  client.socket.write(Buffer.concat([methodFrame(1, "basic.publish", method), headerFrame(1, 2 ** 40)]));
  const close = await client.expect("channel.close");
  assert.equal(close.replyCode, 406);
  assert.match(close.replyText, /^PRECONDITION_FAILED - message size 1099511627776 is larger than/);
  assert.deepEqual([close.classId, close.methodId], [60, 40]);
  // What was on its way is passed over.
  client.socket.write(frame(FRAME_BODY, 1, Buffer.alloc(100)));
  client.send(1, "channel.close-ok", {});
  await client.openChannel();
  await client.close();
});

test("a client that says nothing is cut when its time is over", async (t) => {
  const { port, lines } = await serve(t, { limits: { handshakeMs: 100 } });
  const client = new RawClient(port);
  await client.ended();
  assert.deepEqual(lines, ["closing the connection: the handshake took more than 100 ms"]);
});

test("clients are told that the server ends, and end", async (t) => {
  const { port, close } = await serve(t);
  const client = await RawClient.open(port);
  const closing = close();
  assert.equal(
    await failure(client),
    "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
  );
  await closing;
});

test("channels and messages are counted", async (t) => {
  const { port, metric } = await serve(t);
  const client = await RawClient.open(port);
  await client.openChannel(1);
  await client.openChannel(2);
  await client.declareQueue("counted");
  client.publish("", "counted", Buffer.from("one"));
  client.publish("", "counted", Buffer.from("two"));
  client.send(1, "basic.get", { ticket: 0, queue: "counted", noAck: true });
  await client.expect("basic.get-ok");
  assert.equal(await metric("messages_published_total"), 2);
  assert.equal(await metric("messages_delivered_total"), 1);
  assert.equal(await metric("channels"), 2);
  await client.close();
  assert.equal(await metric("channels"), 0);
});

test("a message of several megabytes goes in and out in frames of the negotiated size", async (t) => {
  const { port } = await serve(t);
  const client = await RawClient.open(port, { frameMax: 4_096 });
  await client.openChannel();
  await client.declareQueue("large");
  const body = Buffer.alloc(5_000_000);
  for (let at = 0; at < body.length; at += 4) body.writeUInt32BE((at * 2_654_435_761) % 2 ** 32, at);
  client.socket.write(publishFrames(1, "", "large", body, 4_088));
  client.send(1, "basic.get", { ticket: 0, queue: "large", noAck: true });
  await client.expect("basic.get-ok");
  await client.next();
  const pieces: Buffer[] = [];
  for (let got = 0; got < body.length; got += pieces.at(-1)!.length)
    pieces.push((await client.next())!.payload);
  assert.ok(pieces.every(({ length }) => length + 8 <= 4_096));
  assert.ok(Buffer.concat(pieces).equals(body));
});

test("clients are shown the version of the package", async (t) => {
  const { port } = await serve(t);
  const client = new RawClient(port);
  client.socket.write(PROTOCOL_HEADER);
  const { serverProperties } = await client.expect("connection.start");
  const version = serverProperties.get("version");
  const { version: expected } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.equal(version?.type === "longstr" && version.value.toString(), expected);
});

test("a client that asks on and on and reads no answer is not read from either, and cut", async (t) => {
  const limits = { pendingBytesMax: 256 * 1024, stallMs: 1_000, messageBytesMax: 1024 * 1024 };
  const { port, lines, metric } = await serve(t, { limits });
  const client = await RawClient.open(port);
  await client.openChannel();
  client.socket.pause();
  const method = { ticket: 0, exchange: "amq.fanout", routingKey: "q", mandatory: true, immediate: false };
  const body = Buffer.alloc(100_000);
  const unroutable = Buffer.concat([
    methodFrame(1, "basic.publish", method),
    headerFrame(1, body.length),
    frame(FRAME_BODY, 1, body),
  ]);
  for (let count = 0; count < 500; count += 1) client.socket.write(unroutable);
  while (lines.length === 0) assert.ok((await metric("messages_returned_total")) < 500);
  assert.match(
    lines[0]!,
    /^closing the connection: it took nothing for 1000 ms while \d+ bytes waited for it$/,
  );
  client.socket.destroy();
});

test("clients that speak other protocols leave a few lines in the log, whatever they say", async (t) => {
  const { port, lines } = await serve(t);
  for (let index = 0; index < 60; index += 1) {
    const client = new RawClient(port);
    client.isFramed = false;
    client.socket.write(`GET /${index} HTTP/1.1`);
    await client.ended();
  }
  assert.ok(lines.length >= 10 && lines.length < 40, `${lines.length} lines for 60 clients`);
});
