import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { OrderSchema } from "../../examples/generated/order-pb.js";
import { msgpack } from "../../src/bus/codecs/msgpack.js";
import { protobuf } from "../../src/bus/codecs/protobuf.js";
import { xml } from "../../src/bus/codecs/xml.js";
import { type AnyCodec, bytes, command, event, json, text } from "../../src/index.js";
import { openTestBus } from "../../src/testing/index.js";
import { collect, deadLettersOf, failsWith, testBus } from "../support/buses.js";

interface Order {
  readonly id: string;
  readonly total: number;
}

const order: Order = { id: "o-1", total: 42 };

/** The same command as parts of a system know it that were written with different codecs. */
const inCodec = (codec: AnyCodec) => command<unknown>("order.place", { codec: codec as typeof json });

test("each codec carries its content type, and brings the value to the handler", async (t) => {
  const bus = await testBus(t);
  const cases: readonly (readonly [AnyCodec, unknown, string])[] = [
    [json, order, "application/json"],
    [text, "größer", "text/plain"],
    [bytes, new Uint8Array([0, 255]), "application/octet-stream"],
    [msgpack, { at: new Date(5), raw: new Uint8Array([1]) }, "application/vnd.msgpack"],
    [xml({ root: "order" }), { id: "o-1" }, "application/xml"],
  ];
  for (const [codec, value, contentType] of cases) {
    const Type = command<unknown>(`in.${contentType.replace(/\W/g, "-")}`, { codec: codec as typeof json });
    const seen: unknown[] = [];
    bus.handle(Type, (got, ctx) => void seen.push([got, ctx.message.contentType]));
    await bus.send(Type, value);
    await bus.settled();
    const [got, carried] = seen[0] as [unknown, string];
    assert.deepEqual(got instanceof Uint8Array ? Uint8Array.from(got) : got, value);
    assert.equal(carried, contentType);
  }
});

test("a handler gets what was sent, whatever codec its own type has", async (t) => {
  const bus = await testBus(t, { codecs: [msgpack, xml({ root: "order" }), protobuf(OrderSchema)] });
  const seen: unknown[] = [];
  bus.handle(inCodec(json), (value) => void seen.push(value));
  await bus.send(inCodec(msgpack), order);
  await bus.send(inCodec(xml({ root: "order" })), order);
  await bus.send(inCodec(text), "words");
  await bus.send(inCodec(json), order);
  await bus.send(command("order.place", { codec: protobuf(OrderSchema) }), order);
  await bus.settled();
  assert.deepEqual(seen.slice(0, 4), [order, { id: "o-1", total: "42" }, "words", order]);
  assert.equal((seen[4] as Order).total, 42);
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("the schema checks what another codec has read", async (t) => {
  const bus = await testBus(t, { codecs: [xml({ root: "order" })] });
  const schema = z.object({ id: z.string(), total: z.coerce.number<string | number>() });
  const seen: Order[] = [];
  bus.handle(command("order.place", { schema }), (value) => void seen.push(value));
  await bus.send(inCodec(xml({ root: "order" })), order);
  await bus.send(inCodec(xml({ root: "order" })), { id: "o-2" });
  await bus.settled();
  assert.deepEqual(seen, [order]);
  assert.deepEqual(
    (await deadLettersOf(bus)).map(({ reason }) => reason),
    ["invalid-payload"],
  );
});

test("what no codec of the bus reads is a dead letter at once, and says why", async (t) => {
  const bus = await testBus(t);
  const seen: unknown[] = [];
  bus.handle(inCodec(json), (value) => void seen.push(value));
  await bus.send(inCodec(msgpack), order);
  await bus.send(inCodec({ ...json, contentType: "text/plain; charset=latin1", reads: [] }), order);
  await bus.settled();
  assert.deepEqual(seen, []);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(
    dead.map(({ reason, attempts }) => [reason, attempts]),
    [
      ["invalid-payload", 1],
      ["invalid-payload", 1],
    ],
  );
  assert.match(dead[0]!.error, /order\.place was sent as application\/vnd\.msgpack.*openBus, in codecs/);
  assert.match(dead[1]!.error, /latin1/);
});

test("a body that is not what its content type says is a dead letter", async (t) => {
  const bus = await testBus(t, { codecs: [msgpack] });
  bus.handle(inCodec(json), () => undefined);
  await bus.queue("order.place").send("not packed", { contentType: "application/msgpack" });
  await bus.settled();
  const [dead] = await deadLettersOf(bus);
  assert.match(dead?.error ?? "", /not valid application\/msgpack/);
});

test("content types are understood with parameters, suffixes, other names and in any case", async (t) => {
  const bus = await testBus(t, { codecs: [msgpack] });
  const seen: unknown[] = [];
  bus.handle(inCodec(text), (value) => void seen.push(value));
  const queue = bus.queue("order.place");
  const packed = msgpack.encode(5);
  for (const contentType of [
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/cloudevents+json",
  ])
    await queue.send("5", { contentType });
  for (const contentType of ["application/x-msgpack", "application/vnd.msgpack;v=1"])
    await queue.send(packed, { contentType });
  for (const contentType of ["text/csv", 'text/html; charset="UTF-8"', "text/json"])
    await queue.send("5", { contentType });
  await queue.send("5", { contentType: "application/octet-stream" });
  await queue.send("5");
  await bus.settled();
  assert.deepEqual(seen, [5, 5, 5, 5, 5, "5", "5", "5", "5", "5"]);
});

test("a type of bytes gets the bytes of every content type", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.handle(inCodec(bytes), (value) => void seen.push(Buffer.from(value as Uint8Array).toString("latin1")));
  await bus.send(inCodec(json), order);
  await bus.queue("order.place").send("x", { contentType: "text/plain; charset=utf-16" });
  await bus.settled();
  assert.deepEqual(seen, [JSON.stringify(order), "x"]);
});

test("a stored message shows its value as its content type says", async (t) => {
  const bus = await testBus(t, { codecs: [msgpack] });
  const OrderPlaced = event<Order>("order.placed", { codec: msgpack });
  await bus.publish(OrderPlaced, order);
  const queue = bus.queue("bodies");
  await queue.sendMany(["one", '{"two":2}'], { contentType: "application/json" });
  await queue.send("three");
  await queue.send("four", { contentType: "image/png" });
  const [placed] = await collect(bus.topic("order").read());
  assert.deepEqual(placed?.value, order);
  const [one, two, three, four] = await collect(queue.browse());
  assert.throws(() => one?.value, SyntaxError);
  assert.deepEqual(two?.value, { two: 2 });
  assert.deepEqual(three?.value, Buffer.from("three"));
  assert.deepEqual(four?.value, Buffer.from("four"));
});

test("a content type that is none, and one given as a header, are refused", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("bodies");
  for (const contentType of ["", "csv", "text/", 5])
    await failsWith("INVALID_OPTION", () => queue.send("x", { contentType } as object), /contentType/);
  const headers = { "Content-Type": "text/csv" };
  await failsWith("INVALID_OPTION", () => queue.send("x", { headers }), /option contentType/);
  await failsWith("INVALID_OPTION", () => bus.send(inCodec(json), order, { headers }), /codec/);
  assert.deepEqual(bus.statistics().queues, []);
});

test("codecs that a bus cannot tell apart, and what is none, are refused", async () => {
  const other = { ...msgpack, contentType: "application/X-MsgPack" };
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [[msgpack, other], /Two codecs read application\/x-msgpack/],
    [[protobuf(OrderSchema), protobuf(OrderSchema)], /Two codecs/],
    [[{}], /codecs/],
    [[{ ...json, reads: "text/json" }], /codecs/],
    [msgpack, /list of codecs/],
  ];
  for (const [codecs, message] of wrong)
    await failsWith("INVALID_OPTION", () => openTestBus({ codecs: codecs as AnyCodec[] }), message);
  await (await openTestBus({ codecs: [msgpack, msgpack, json] })).close();
});
