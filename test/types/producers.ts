// Producers, consumers' limits, and what stored messages show: what compiles, and what does not. Compiled with everything
// else; never run.

import { z } from "zod";
import {
  type BodyOptions,
  type Bus,
  type Codec,
  command,
  type EmbeddedCapabilities,
  type Enqueued,
  type EventPublishOptions,
  event,
  type Producer,
  type PublishOptions,
  type Receipt,
  type StoredMessage,
} from "../../src/index.js";
import { type Equal, isTrue } from "./check.js";

type C = EmbeddedCapabilities;

const Placed = event("order.placed", {
  schema: z.object({ id: z.string(), total: z.string().transform(Number) }),
});
const Count = command<number>("count");

export async function producers(bus: Bus<C>): Promise<void> {
  // What is sent is the input of the schema.
  const placed = bus.producer(Placed, { pendingMax: 10, linger: "5ms", ackTimeout: "1m" });
  isTrue<Equal<typeof placed, Producer<{ id: string; total: string }, EventPublishOptions<C>>>>();
  const bodies = bus.producer("bodies", { rateLimit: { bitsPerSecond: 8_000, messagesPerSecond: 5 } });
  isTrue<Equal<typeof bodies, Producer<string | Uint8Array, BodyOptions<C>>>>();
  isTrue<Equal<ReturnType<typeof placed.send>, Promise<Receipt>>>();

  await placed.send({ id: "o-1", total: "42" }, { delay: "10s", signal: new AbortController().signal });
  const enqueued = placed.enqueue({ id: "o-1", total: "42" }, { key: "k" }, (error, receipt) => {
    isTrue<Equal<typeof error, unknown>>();
    isTrue<Equal<typeof receipt, Receipt | undefined>>();
  });
  isTrue<Equal<typeof enqueued, Enqueued>>();
  placed.enqueue({ id: "o-1", total: "42" }, () => undefined);
  const counts = bus.producer(Count);
  isTrue<Equal<typeof counts, Producer<number, PublishOptions<C>>>>();
  counts.enqueue(5);
  placed.enqueue({ id: "o-1", total: "42" }, { retain: true });
  // @ts-expect-error: a queue has no last message.
  counts.enqueue(5, { retain: true });
  await bodies.send("text", { contentType: "text/csv" });
  await using scoped = bus.queue("q").producer();
  await scoped.send(new Uint8Array());

  // @ts-expect-error: the output of the schema instead of its input.
  await placed.send({ id: "o-1", total: 42 });
  // @ts-expect-error: a wrong payload.
  bus.producer(Count).enqueue("5");
  // @ts-expect-error: nothing waits for it that a signal could end.
  bus.producer(Count).enqueue(5, { signal: new AbortController().signal });
  // @ts-expect-error: the codec says the content type.
  await placed.send({ id: "o-1", total: "42" }, { contentType: "text/csv" });
  // @ts-expect-error: bodies are text or bytes.
  await bodies.send(5);
  // @ts-expect-error: an option that does not exist.
  bus.producer(Placed, { maxPending: 5 });
  // @ts-expect-error: bits or messages?
  bus.producer(Placed, { rateLimit: 5 });
  // @ts-expect-error: a unit that does not exist.
  bus.producer(Placed, { linger: "5 weeks" });
}

export async function consumers(bus: Bus<C>): Promise<void> {
  bus.handle(Count, { rateLimit: { messagesPerSecond: 5 }, prefetchBytes: 1_000 }, () => undefined);
  for await (const delivery of bus
    .topic("t")
    .group("g")
    .receive({ rateLimit: { bitsPerSecond: 5 } })) {
    isTrue<Equal<ReturnType<typeof delivery.commit>, Promise<void>>>();
    break;
  }
  // @ts-expect-error: an option that does not exist.
  bus.handle(Count, { rateLimit: { perSecond: 5 } }, () => undefined);
}

export async function views(bus: Bus<C>, message: StoredMessage): Promise<void> {
  isTrue<Equal<typeof message.value, unknown>>();
  isTrue<Equal<typeof message.attempts, number | undefined>>();
  isTrue<Equal<typeof message.isAcknowledged, boolean | undefined>>();
  isTrue<Equal<NonNullable<typeof message.status>["state"], "waiting" | "in-flight" | "acknowledged">>();
  for await (const seen of bus.topic("t").group("g").browse({ acknowledged: true, limit: 5 })) {
    isTrue<Equal<typeof seen, StoredMessage>>();
  }
  // @ts-expect-error: an option that does not exist.
  bus.queue("q").browse({ settled: true });
}

// A codec of one's own gives the payload its types, and reads what it says.
const dates: Codec<Date, Date> = {
  contentType: "text/x-date",
  reads: ["text/plain"],
  encode: (date) => date.toISOString(),
  decode: (record) => new Date(record.valueText()),
};
const At = event("at", { codec: dates });
export async function codecs(bus: Bus<C>): Promise<void> {
  bus.on(At, { group: "g" }, (date) => void isTrue<Equal<typeof date, Date>>());
  await bus.publish(At, new Date());
  // @ts-expect-error: the codec writes dates.
  await bus.publish(At, "2026-01-01");
  // @ts-expect-error: a codec reads too.
  event("at", { codec: { contentType: "text/x-date", encode: (date: Date) => date.toISOString() } });
}
