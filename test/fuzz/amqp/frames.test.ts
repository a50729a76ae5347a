import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { SocketWriter } from "../../../src/network/socket-writer.js";
import {
  addressSize,
  OutgoingContent,
  writeAck,
  writeDeliver,
  writeGetOk,
  writeMethodFrame,
  writeNack,
  writeReturn,
} from "../../../src/protocols/amqp/wire/basic.js";
import {
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_METHOD,
  FrameReader,
} from "../../../src/protocols/amqp/wire/frames.js";
import { type MethodFields, readMethod } from "../../../src/protocols/amqp/wire/methods.js";
import { ProtocolError } from "../../../src/protocols/amqp/wire/protocol-error.js";
import { frame, methodFrame, publishFrames } from "../../protocols/amqp/raw-client.js";
import { method } from "./arbitraries.js";

interface Seen {
  readonly type: number;
  readonly channel: number;
  readonly payload: string;
}

/** Everything that a reader gives out of `chunks`. With `isHalting` it is stopped after each frame. */
function framesOf(chunks: readonly Buffer[], isHalting = false, frameMax = 0): Seen[] {
  const seen: Seen[] = [];
  const reader = new FrameReader(frameMax, (type, channel, bytes, start, end) => {
    seen.push({ type, channel, payload: bytes.toString("latin1", start, end) });
    return !isHalting;
  });
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let before = -1; seen.length > before; ) {
      before = seen.length;
      reader.read();
    }
  }
  return seen;
}

const session = Buffer.concat([
  methodFrame(1, "channel.open", { outOfBand: "" }),
  publishFrames(1, "amq.topic", "order.placed", Buffer.from("twelve bytes"), 5),
  frame(8, 0, Buffer.alloc(0)),
  publishFrames(65_535, "", "q", Buffer.alloc(0)),
  methodFrame(1, "basic.ack", { deliveryTag: 7, multiple: true }),
]);

test("frames are the same wherever what was received is cut", () => {
  const whole = framesOf([session]);
  assert.equal(whole.length, 10);
  for (let at = 0; at <= session.length; at += 1)
    assert.deepEqual(framesOf([session.subarray(0, at), session.subarray(at)]), whole);
  assert.deepEqual(framesOf([...session].map((byte) => Buffer.from([byte]))), whole);
});

test("frames are the same however often reading is stopped, and whatever comes meanwhile", () => {
  const whole = framesOf([session]);
  fc.assert(
    fc.property(fc.array(fc.nat(session.length), { maxLength: 20 }), fc.boolean(), (cuts, isHalting) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), session.length];
      const chunks = at.slice(1).map((end, index) => session.subarray(at[index], end));
      assert.deepEqual(framesOf(chunks, isHalting), whole);
    }),
  );
});

test("what was given out is not changed by what comes later", () => {
  const views: Buffer[] = [];
  const reader = new FrameReader(0, (_type, _channel, bytes, start, end) => {
    views.push(bytes.subarray(start, end));
    return true;
  });
  const bodies = Array.from({ length: 50 }, (_, index) => Buffer.alloc(100 + index, index));
  const bytes = Buffer.concat(bodies.map((body) => frame(FRAME_BODY, 1, body)));
  for (let at = 0; at < bytes.length; at += 37) {
    reader.push(Buffer.from(bytes.subarray(at, at + 37)));
    reader.read();
  }
  assert.deepEqual(views, bodies);
});

test("a frame that declares more than was agreed on is refused before anything is kept for it", () => {
  const header = Buffer.from([3, 0, 1, 0xff, 0xff, 0xff, 0xff]);
  assert.throws(() => framesOf([header], false, 4096), { reply: "FRAME_ERROR" });
  for (let at = 1; at < header.length; at += 1)
    assert.throws(() => framesOf([header.subarray(0, at), header.subarray(at)], false, 4096), {
      reply: "FRAME_ERROR",
    });
  assert.equal(framesOf([frame(FRAME_BODY, 1, Buffer.alloc(4096))], false, 4096).length, 1);
  assert.throws(() => framesOf([frame(FRAME_BODY, 1, Buffer.alloc(4097))], false, 4096), ProtocolError);
});

test("any bytes are frames, or refused", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), (chunks) => {
      try {
        framesOf(
          chunks.map((chunk) => Buffer.from(chunk)),
          false,
          4096,
        );
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

/** What `write` sends, in frames. */
function sent(write: (writer: SocketWriter) => void): Seen[] {
  const chunks: Buffer[] = [];
  const socket = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const writer = new SocketWriter(socket, 1024 * 1024);
  write(writer);
  writer.flush();
  return framesOf(chunks);
}

test("every method that is sent is the one that is read", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(65_535), method), { maxLength: 10 }), (methods) => {
      const frames = sent((writer) => {
        for (const [channel, { name, fields }] of methods)
          writeMethodFrame(writer, channel, name, fields as MethodFields<typeof name>);
      });
      assert.deepEqual(
        frames.map(({ type, channel, payload }) => [type, channel, read(payload)]),
        methods.map(([channel, { name, fields }]) => [FRAME_METHOD, channel, { name, ...fields }]),
      );
    }),
  );
});

function read(payload: string): unknown {
  const bytes = Buffer.from(payload, "latin1");
  return readMethod(bytes, 0, bytes.length);
}

const shortText = fc.string({ maxLength: 60 });
const content = fc.record({
  exchange: shortText,
  routingKey: shortText,
  properties: fc.uint8Array({ minLength: 2, maxLength: 80 }),
  bodyBytes: fc.oneof(fc.nat(60), fc.nat(5_000), fc.nat(40_000)),
});
const frameMax = fc.constantFrom(0, 4_096, 131_072);

function original({
  exchange,
  routingKey,
  properties,
}: {
  exchange: string;
  routingKey: string;
  properties: Uint8Array;
}): Buffer {
  const [first, second] = [Buffer.from(exchange), Buffer.from(routingKey)];
  return Buffer.concat([
    Buffer.from([first.length]),
    first,
    Buffer.from([second.length]),
    second,
    properties,
  ]);
}

/** The message somewhere in the middle of other bytes, as in a log. */
function placed(one: Parameters<typeof original>[0], body: Buffer): OutgoingContent {
  const content = new OutgoingContent();
  const bytes = original(one);
  const all = Buffer.concat([
    Buffer.from("before"),
    bytes,
    Buffer.from("between"),
    body,
    Buffer.from("after"),
  ]);
  content.setOriginal(all, 6, 6 + bytes.length);
  content.setBody(all, 13 + bytes.length, 13 + bytes.length + body.length);
  return content;
}

/** Checks the frames of a message, the method aside. */
function assertContent(frames: readonly Seen[], properties: Uint8Array, body: Buffer, max: number): void {
  const [header, ...pieces] = frames;
  const bytes = Buffer.from(header!.payload, "latin1");
  assert.equal(header!.type, FRAME_HEADER);
  assert.deepEqual([bytes.readUInt32BE(0), Number(bytes.readBigUInt64BE(4))], [60 << 16, body.length]);
  assert.deepEqual(bytes.subarray(12), Buffer.from(properties));
  for (const { type, payload } of pieces) {
    assert.equal(type, FRAME_BODY);
    assert.ok(max === 0 || payload.length + 8 <= max);
  }
  assert.equal(pieces.map(({ payload }) => payload).join(""), body.toString("latin1"));
}

test("a delivery is one method, one header and the body in frames of the negotiated size", () => {
  const delivery = fc.record({
    content,
    consumerTag: shortText,
    deliveryTag: fc.maxSafeNat(),
    redelivered: fc.boolean(),
    channel: fc.integer({ min: 1, max: 65_535 }),
    max: frameMax,
  });
  fc.assert(
    fc.property(delivery, ({ content: one, consumerTag, deliveryTag, redelivered, channel, max }) => {
      const body = Buffer.alloc(one.bodyBytes, 7);
      const [first, ...rest] = sent((writer) =>
        writeDeliver(
          writer,
          channel,
          max,
          Buffer.from(consumerTag),
          deliveryTag,
          redelivered,
          placed(one, body),
        ),
      );
      const { exchange, routingKey } = one;
      assert.deepEqual(read(first!.payload), {
        name: "basic.deliver",
        consumerTag,
        deliveryTag,
        redelivered,
        exchange,
        routingKey,
      });
      assertContent(rest, one.properties, body, max);
      assert.ok([first!, ...rest].every((seen) => seen.channel === channel));
    }),
  );
});

test("what was asked for and what came back are sent like deliveries", () => {
  fc.assert(
    fc.property(content, fc.maxSafeNat(), fc.nat(1e9), (one, deliveryTag, messageCount) => {
      const body = Buffer.alloc(one.bodyBytes, 7);
      const { exchange, routingKey, properties } = one;
      const [got, ...rest] = sent((writer) =>
        writeGetOk(writer, 1, 4_096, deliveryTag, true, messageCount, placed(one, body)),
      );
      const fields = { deliveryTag, redelivered: true, exchange, routingKey, messageCount };
      assert.deepEqual(read(got!.payload), { name: "basic.get-ok", ...fields });
      assertContent(rest, properties, body, 4_096);
      const [returned, ...back] = sent((writer) =>
        writeReturn(writer, 1, 4_096, 312, "NO_ROUTE", placed(one, body)),
      );
      const reply = { replyCode: 312, replyText: "NO_ROUTE", exchange, routingKey };
      assert.deepEqual(read(returned!.payload), { name: "basic.return", ...reply });
      assertContent(back, properties, body, 4_096);
      assert.equal(addressSize(original(one)), original(one).length - properties.length);
    }),
  );
});

test("confirms carry their tags", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.boolean(), (deliveryTag, multiple) => {
      const frames = sent((writer) => {
        writeAck(writer, 3, deliveryTag, multiple);
        writeNack(writer, 3, deliveryTag, multiple);
      });
      assert.deepEqual(
        frames.map(({ payload }) => read(payload)),
        [
          { name: "basic.ack", deliveryTag, multiple },
          { name: "basic.nack", deliveryTag, multiple, requeue: false },
        ],
      );
    }),
  );
});
