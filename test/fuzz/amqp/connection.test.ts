// Whole connections with sessions that are cut anywhere, changed, or meant to hurt. Beside them another client works on,
// and nothing that a client does may be felt by it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { NO_FIELDS } from "../../../src/protocols/amqp/wire/fields.js";
import { FRAME_BODY, FRAME_METHOD, FrameReader } from "../../../src/protocols/amqp/wire/frames.js";
import { readMethod } from "../../../src/protocols/amqp/wire/methods.js";
import { frame, headerFrame, methodFrame, RawClient } from "../../protocols/amqp/raw-client.js";
import { serve } from "../../protocols/amqp/serving.js";
import { goodbye, opening, working } from "./sessions.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What a connection may take to come to its end, however busy the machine is. */
const END_MS = 20_000;

/** Sends the pieces, each in a turn of its own, and returns what the server sent until the end. */
async function played(port: number, pieces: readonly Buffer[]): Promise<Buffer> {
  const client = new RawClient(port);
  client.isFramed = false;
  await client.connected();
  for (const piece of pieces) {
    client.socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended(client);
  return Buffer.concat(client.bytes);
}

async function ended(client: RawClient): Promise<void> {
  const late = setTimeout(() => client.socket.destroy(new Error("late")), END_MS);
  await client.ended();
  clearTimeout(late);
  assert.equal(client.socket.errored?.message === "late", false, "the server neither answered nor ended");
}

/** What was answered, in order for each channel: not what was delivered and confirmed, which comes when it comes. */
function answersIn(bytes: Buffer): string[] {
  const answers: string[] = [];
  const reader = new FrameReader(0, (type, channel, chunk, start, end) => {
    if (type !== FRAME_METHOD) return true;
    const { name } = readMethod(chunk, start, end);
    if (name !== "basic.deliver" && name !== "basic.ack") answers.push(`${channel} ${name}`);
    return true;
  });
  reader.push(bytes);
  reader.read();
  return answers.sort();
}

/** Somebody who publishes and consumes while others misbehave. */
class Bystander {
  readonly #client: RawClient;
  #rounds = 0;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  static async enter(port: number): Promise<Bystander> {
    const client = await RawClient.open(port);
    await client.openChannel();
    await client.declareQueue("bystander");
    const flags = { noLocal: false, noAck: true, exclusive: false, noWait: false, arguments: NO_FIELDS };
    client.send(1, "basic.consume", { ticket: 0, queue: "bystander", consumerTag: "me", ...flags });
    await client.expect("basic.consume-ok");
    return new Bystander(client);
  }

  /** A message there and back. */
  async works(): Promise<void> {
    this.#rounds += 1;
    const body = Buffer.from(`round ${this.#rounds}`);
    this.#client.publish("", "bystander", body);
    assert.deepEqual(await this.#client.delivery(), body);
  }
}

test("a session has the same answers wherever its bytes are cut", async (t) => {
  const { port, lines } = await serve(t);
  const session = Buffer.concat([opening(), working("cut"), goodbye()]);
  const whole = answersIn(await played(port, [session]));
  assert.ok(whole.length >= 16);
  for (let at = 1; at < session.length; at += 1) {
    const answers = await played(port, [session.subarray(0, at), session.subarray(at)]);
    assert.deepEqual(answersIn(answers), whole, `cut at ${at}`);
  }
  assert.deepEqual(lines, []);
});

test("a session has the same answers when every byte comes alone", async (t) => {
  const { port } = await serve(t);
  const session = Buffer.concat([opening(), working("alone"), goodbye()]);
  const whole = answersIn(await played(port, [session]));
  const answers = await played(
    port,
    [...session].map((byte) => Buffer.from([byte])),
  );
  assert.deepEqual(answersIn(answers), whole);
});

/** One way of changing bytes. */
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("set" as const), at: fc.nat(), value: fc.nat(255) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("drop" as const),
      at: fc.nat(),
      size: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("repeat" as const),
      at: fc.nat(),
      size: fc.integer({ min: 1, max: 200 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      at: fc.nat(),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 30 }),
    }),
  },
);
type Change = typeof change extends fc.Arbitrary<infer One> ? One : never;

function changed(session: Buffer, one: Change): Buffer {
  const at = one.at % session.length;
  const [before, after] = [session.subarray(0, at), session.subarray(at)];
  switch (one.kind) {
    case "set":
      return Buffer.concat([before, Buffer.from([one.value]), after.subarray(1)]);
    case "drop":
      return Buffer.concat([before, after.subarray(one.size)]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, one.size), after]);
    case "insert":
      return Buffer.concat([before, one.bytes, after]);
  }
}

const changes = fc.array(change, { minLength: 1, maxLength: 6 });

for (const [what, head, numRuns] of [
  ["in the handshake", Buffer.alloc(0), 150],
  ["after the handshake", opening(), 400],
] as const) {
  test(`a session that is changed ${what} comes to an end, and nobody else feels it`, async (t) => {
    const { port } = await serve(t);
    const bystander = await Bystander.enter(port);
    const tail = Buffer.concat([...(head.length === 0 ? [opening()] : []), working("changed"), goodbye()]);
    await fc.assert(
      fc.asyncProperty(changes, async (many) => {
        const bytes = many.reduce(changed, tail);
        const client = new RawClient(port);
        client.isFramed = false;
        await client.connected();
        // A session that waits for more than it was sent ends with its client.
        client.socket.end(Buffer.concat([head, bytes]));
        await ended(client);
        await bystander.works();
      }),
      { numRuns },
    );
  });
}

test("any bytes after the protocol's header come to an end", async (t) => {
  const { port } = await serve(t);
  const bystander = await Bystander.enter(port);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
      const client = new RawClient(port);
      client.isFramed = false;
      await client.connected();
      client.socket.end(Buffer.concat([Buffer.from("AMQP\x00\x00\x09\x01", "latin1"), bytes]));
      await ended(client);
      await bystander.works();
    }),
    { numRuns: 150 },
  );
});

test("sessions that were changed leave nothing behind", async (t) => {
  const { port } = await serve(t);
  const play = async (count: number): Promise<number> => {
    for (let round = 0; round < count; round += 1) {
      const session = Buffer.concat([opening(), working("left"), goodbye()]);
      const client = new RawClient(port);
      client.isFramed = false;
      await client.connected();
      session[opening().length + ((round * 7919) % (session.length - opening().length))]! ^= 0x55;
      client.socket.end(session);
      await ended(client);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  // Not garbage: what compiles and grows once has grown.
  await play(200);
  const before = await play(1);
  const after = await play(300);
  const grownBytes = after - before;
  assert.ok(grownBytes < 4 * 1024 * 1024, `${grownBytes} bytes more`);
  const client = await RawClient.open(port);
  await client.openChannel();
  client.send(1, "queue.declare", {
    ticket: 0,
    queue: "left",
    passive: true,
    durable: false,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: NO_FIELDS,
  });
  assert.equal((await client.expect("channel.close")).replyCode, 404);
});

test("bodies that are declared and never sent reserve no more than a message may have", async (t) => {
  const { port } = await serve(t, { limits: { messageBytesMax: 1024 * 1024 } });
  const bystander = await Bystander.enter(port);
  const client = await RawClient.open(port);
  const method = { ticket: 0, exchange: "", routingKey: "q", mandatory: false, immediate: false };
  const openings: Buffer[] = [];
  for (let channel = 1; channel <= 100; channel += 1)
    openings.push(
      methodFrame(channel, "channel.open", { outOfBand: "" }),
      methodFrame(channel, "basic.publish", method),
      headerFrame(channel, 1024 * 1024),
      frame(FRAME_BODY, channel, Buffer.alloc(100_000)),
    );
  client.socket.write(Buffer.concat(openings));
  let last = await client.next();
  while (last?.method?.name === "channel.open-ok") last = await client.next();
  assert.equal(last?.method?.name, "connection.close");
  assert.match(JSON.stringify(last?.method), /RESOURCE_ERROR/);
  client.destroy();
  await bystander.works();
});

test("a flood of connections that say nothing, or nonsense, is felt by nobody", async (t) => {
  const { port } = await serve(t, { limits: { handshakeMs: 500 } });
  const bystander = await Bystander.enter(port);
  const clients = Array.from({ length: 300 }, () => new RawClient(port));
  for (const [index, client] of clients.entries()) {
    client.isFramed = false;
    if (index % 3 === 0) client.socket.write("nonsense, and more of it");
    if (index % 3 === 1) client.socket.write("AMQP\x00\x00\x09\x01", "latin1");
  }
  for (let round = 0; round < 20; round += 1) await bystander.works();
  await Promise.all(clients.map((client) => ended(client)));
  await bystander.works();
});

test("a client that takes nothing is cut, with the reason in the log, and costs the others nothing", async (t) => {
  const { port, lines } = await serve(t, { limits: { pendingBytesMax: 64 * 1024, stallMs: 1_000 } });
  const bystander = await Bystander.enter(port);
  const publisher = await RawClient.open(port);
  await publisher.openChannel();
  await publisher.declareQueue("slow");
  const slow = await RawClient.open(port);
  await slow.openChannel();
  const flags = { noLocal: false, noAck: true, exclusive: false, noWait: false, arguments: NO_FIELDS };
  slow.send(1, "basic.consume", { ticket: 0, queue: "slow", consumerTag: "slow", ...flags });
  await slow.expect("basic.consume-ok");
  slow.socket.pause();
  const closed = new Promise((resolve) => slow.socket.once("close", resolve));
  // More than the system keeps for a socket that is not read.
  for (let index = 0; index < 30; index += 1) publisher.publish("", "slow", Buffer.alloc(1024 * 1024));
  while (lines.length === 0) await bystander.works();
  assert.match(
    lines[0]!,
    /^closing the connection: it took nothing for 1000 ms while \d+ bytes waited for it$/,
  );
  slow.socket.resume();
  await closed;
  // What it did not get is there for the next one.
  publisher.send(1, "basic.get", { ticket: 0, queue: "slow", noAck: true });
  await publisher.expect("basic.get-ok");
});

test("a client that publishes without end and waits for nothing is slowed, and others get their turn", async (t) => {
  const { port } = await serve(t);
  const bystander = await Bystander.enter(port);
  const flood = await RawClient.open(port);
  await flood.openChannel();
  await flood.declareQueue("flood");
  let isOver = false;
  const pour = async (): Promise<void> => {
    const body = Buffer.alloc(50_000);
    while (!isOver) {
      for (let index = 0; index < 20; index += 1) flood.publish("", "flood", body);
      if (flood.socket.writableNeedDrain) await new Promise((resolve) => flood.socket.once("drain", resolve));
    }
  };
  const pouring = pour();
  for (let round = 0; round < 50; round += 1) await bystander.works();
  isOver = true;
  await pouring;
  await flood.close();
});
