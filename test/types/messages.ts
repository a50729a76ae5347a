// Events, commands and their payloads: what compiles, and what does not. Compiled with everything else; never run.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { OrderSchema, type Order as ProtoOrder } from "../../examples/generated/order-pb.js";
import { msgpack } from "../../src/bus/codecs/msgpack.js";
import { protobuf } from "../../src/bus/codecs/protobuf.js";
import { type XmlElement, xml } from "../../src/bus/codecs/xml.js";
import {
  type Bus,
  bytes,
  type CommandType,
  command,
  type EmbeddedCapabilities,
  type EventType,
  event,
  type Gathered,
  json,
  type Receipt,
  reply,
  retry,
  text,
} from "../../src/index.js";
import { type Equal, isTrue } from "./check.js";

interface Order {
  readonly id: string;
  readonly total: number;
}

const order: Order = { id: "o-1", total: 42 };

// Payload types come from a schema of any library: what is sent and what is handled.
const Zod = event("order.placed", {
  schema: z.object({ id: z.string(), total: z.string().transform(Number) }),
  key: (value) => value.id,
});
isTrue<Equal<typeof Zod, EventType<{ id: string; total: string }, { id: string; total: number }>>>();
const Valibot = command("reserve", {
  schema: v.object({
    at: v.pipe(
      v.string(),
      v.transform((s) => new Date(s)),
    ),
  }),
});
isTrue<Equal<typeof Valibot, CommandType<{ at: string }, { at: Date }>>>();
const Ark = command("reserve", { schema: type({ count: "number" }) });
isTrue<Equal<typeof Ark, CommandType<{ count: number }, { count: number }>>>();

// Or are given, or come from the codec; without any they are unknown.
const Typed = event<Order>("order.placed", { key: (value) => value.id });
isTrue<Equal<typeof Typed, EventType<Order, Order>>>();
const Blob = command("blob", { codec: bytes });
isTrue<Equal<typeof Blob, CommandType<Uint8Array, Uint8Array>>>();
const Json = command<Order>("json", { codec: json });
isTrue<Equal<typeof Json, CommandType<Order, Order>>>();
const Text = event("text", { codec: text });
isTrue<Equal<typeof Text, EventType<string, string>>>();
const Packed = event<Order>("packed", { codec: msgpack });
isTrue<Equal<typeof Packed, EventType<Order, Order>>>();
const Proto = command("proto", { codec: protobuf(OrderSchema), key: (value) => value.id ?? "" });
isTrue<Equal<typeof Proto, CommandType<MessageInitShape<typeof OrderSchema>, ProtoOrder>>>();
const Element = command("element", { codec: xml({ root: "order" }) });
isTrue<Equal<typeof Element, CommandType<object, XmlElement>>>();
const Checked = command("element", {
  codec: xml({ root: "order" }),
  schema: z.object({ id: z.string(), total: z.coerce.number<string>() }),
});
isTrue<Equal<typeof Checked, CommandType<{ id: string; total: string }, { id: string; total: number }>>>();
const Untyped = event("untyped");
isTrue<Equal<typeof Untyped, EventType<unknown, unknown>>>();

// @ts-expect-error: a key is a string.
event<Order>("order.placed", { key: (value) => value.total });
// @ts-expect-error: there is no such field in the payload.
event<Order>("order.placed", { key: (value) => value.name });
// @ts-expect-error: a schema is no plain object.
event("order.placed", { schema: { id: "string" } });
// @ts-expect-error: the codec takes bytes, the payload is an order.
command<Order>("blob", { codec: bytes });
// @ts-expect-error: an element has a name.
xml({});
// @ts-expect-error: a message type of Protobuf is no plain object.
protobuf({ id: "string" });
// @ts-expect-error: events have topics, not queues.
event<Order>("order.placed", { queue: "orders" });
// @ts-expect-error: commands have queues, not topics.
command<Order>("order.place", { topic: "orders" });

export async function payloads(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const receipt = await bus.publish(Typed, order);
  isTrue<Equal<typeof receipt, Receipt>>();
  const receipts = await bus.sendMany(Json, [order]);
  isTrue<Equal<typeof receipts, Receipt[]>>();
  await bus.publish(Zod, { id: "o-1", total: "42" });
  await bus.send(Valibot, { at: "2026-01-01" });
  await bus.send(Ark, { count: 1 });
  await bus.send(Blob, new Uint8Array());
  await bus.publish(Text, "words");
  await bus.publish(Packed, order);
  await bus.send(Proto, { id: "o-1", total: 42 });
  await bus.send(Proto, create(OrderSchema, { id: "o-1" }));
  bus.handle(Proto, (value) => void isTrue<Equal<typeof value, ProtoOrder>>());
  await bus.send(Checked, { id: "o-1", total: "42" });
  await bus.publish(Untyped, { anything: true });

  // @ts-expect-error: a wrong payload.
  await bus.publish(Typed, { id: 5, total: 42 });
  // @ts-expect-error: a payload that lacks a field.
  await bus.publish(Typed, { id: "o-1" });
  // @ts-expect-error: a payload with a field too many.
  await bus.publish(Typed, { id: "o-1", total: 42, colour: "red" });
  // @ts-expect-error: the output of the schema instead of its input.
  await bus.publish(Zod, { id: "o-1", total: 42 });
  // @ts-expect-error: the output of the schema instead of its input.
  await bus.send(Valibot, { at: new Date() });
  // @ts-expect-error: a wrong payload.
  await bus.send(Ark, { count: "1" });
  // @ts-expect-error: text for bytes.
  await bus.send(Blob, "text");
  // @ts-expect-error: bytes for text.
  await bus.publish(Text, new Uint8Array());
  // @ts-expect-error: a field of another type.
  await bus.send(Proto, { id: 5 });
  // @ts-expect-error: text for an element.
  await bus.send(Element, "<order/>");
  // @ts-expect-error: one wrong payload among others.
  await bus.publishMany(Typed, [order, { id: 5, total: 1 }]);
  // @ts-expect-error: one payload instead of several.
  await bus.sendMany(Json, order);
  // @ts-expect-error: several payloads instead of one.
  await bus.send(Json, [order]);
}

// Replies have types too: what a handler replies with, and what that is for whoever asked.
const Quote = command("quote", {
  schema: z.object({ sku: z.string() }),
  reply: z.object({ price: z.string().transform(Number) }),
});
const Offers = event<string, string, number>("offers");

export async function replies(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const answer = await bus.request(Quote, { sku: "tea" }, { timeout: "1s" });
  isTrue<Equal<typeof answer, { price: number }>>();
  const [job] = await bus.requestAll(Quote, [{ sku: "tea" }]);
  if (job?.status === "fulfilled") isTrue<Equal<typeof job.value, { price: number }>>();
  const gathered = await bus.gather(Offers, "tea", { first: 1, from: ["a"] });
  isTrue<Equal<typeof gathered, Gathered<number>>>();
  bus.handle(Quote, ({ sku }) => (sku === "" ? retry() : reply({ price: sku })));
  bus.handle(Quote, { concurrency: 2 }, async () => reply({ price: "5" }));
  bus.handle(Quote, () => undefined);
  bus.on(Offers, { group: "g" }, () => reply(5));
  bus.handle(Json, () => reply("anything"));
  // @ts-expect-error: the output of the schema of replies instead of its input.
  bus.handle(Quote, () => reply({ price: 5 }));
  // @ts-expect-error: a wrong reply.
  bus.on(Offers, { group: "g" }, async () => reply("five"));
  // @ts-expect-error: events are gathered.
  await bus.request(Offers, "tea");
  // @ts-expect-error: commands are requested.
  await bus.gather(Quote, { sku: "tea" });
  // @ts-expect-error: a request cannot be delayed.
  await bus.request(Quote, { sku: "tea" }, { delay: "1s" });
  // @ts-expect-error: one id cannot be given to several requests.
  await bus.requestAll(Quote, [{ sku: "tea" }], { id: "1" });
  // @ts-expect-error: a live message has no delay.
  await bus.publishLive(Typed, order, { delay: "1s" });
  // @ts-expect-error: commands are not retained.
  await bus.send(Json, order, { retain: true });
}

export async function verbs(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  // @ts-expect-error: commands are sent.
  await bus.publish(Json, order);
  // @ts-expect-error: commands are sent.
  await bus.publishMany(Json, [order]);
  // @ts-expect-error: events are published.
  await bus.send(Typed, order);
  // @ts-expect-error: events are published.
  await bus.sendMany(Typed, [order]);
  // @ts-expect-error: commands are handled with handle.
  bus.on(Json, { group: "g" }, () => undefined);
  // @ts-expect-error: events are handled with on.
  bus.handle(Typed, () => undefined);
  // @ts-expect-error: a name is no message type.
  await bus.publish("order.placed", order);
}

export async function options(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const { signal } = new AbortController();
  await bus.publish(Typed, order, {
    id: "1",
    key: "k",
    headers: { a: "b" },
    delay: "10s",
    expiresIn: 5,
    signal,
  });
  await bus.send(Json, order, { deliverAt: new Date() });
  // @ts-expect-error: a unit that does not exist.
  await bus.send(Json, order, { delay: "10 weeks" });
  // @ts-expect-error: an option that does not exist.
  await bus.send(Json, order, { dealy: "10s" });
  // @ts-expect-error: header values are text.
  await bus.send(Json, order, { headers: { count: 5 } });
  // @ts-expect-error: a date is a Date.
  await bus.send(Json, order, { deliverAt: "2026-01-01" });
  await bus.queue("q").send("a,b", { contentType: "text/csv", key: "k" });
  // @ts-expect-error: the codec says the content type.
  await bus.send(Json, order, { contentType: "text/csv" });
  // @ts-expect-error: bodies are text or bytes.
  await bus.queue("q").send(order);
  // @ts-expect-error: an option that does not exist.
  bus.queue("q", { maxCount: 5 });
  // @ts-expect-error: a policy that does not exist.
  bus.queue("q", { overflow: "explode" });
  // @ts-expect-error: an option that does not exist.
  bus.topic("t", { partition: 5 });
  // @ts-expect-error: receiveBatch needs a maximum.
  await bus.queue("q").receiveBatch({});
  // @ts-expect-error: a reason that does not exist.
  bus.deadLetters.list({ reason: "tired" });
  // @ts-expect-error: a condition that does not exist would discard everything.
  await bus.deadLetters.discard({ id: "x" });
  // @ts-expect-error: a policy that does not exist.
  bus.subscribe("#", { whenFull: "explode" });
}
