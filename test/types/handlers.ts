// Handlers: what they get, what they may return, what may be asked for. Compiled with everything else; never run.

import { z } from "zod";
import {
  ack,
  type Batch,
  type BatchResult,
  type Bus,
  command,
  type Delivery,
  deadLetter,
  drop,
  type EmbeddedCapabilities,
  event,
  type HandlerContext,
  type HandlerOptions,
  type Handling,
  type Outcome,
  retry,
  type StoredMessage,
} from "../../src/index.js";
import { type Equal, isTrue } from "./check.js";

const schema = z.object({ id: z.string(), total: z.string().transform(Number) });
const Placed = event("order.placed", { schema });
const Place = command("order.place", { schema });
interface Out {
  id: string;
  total: number;
}

class Unavailable extends Error {}

export function inputs(bus: Bus<EmbeddedCapabilities>): void {
  const handling = bus.on(Placed, { group: "g" }, (value, context) => {
    isTrue<Equal<typeof value, Out>>();
    isTrue<Equal<typeof context, HandlerContext<EmbeddedCapabilities>>>();
    isTrue<Equal<typeof context.message, StoredMessage>>();
    isTrue<Equal<typeof context.signal, AbortSignal>>();
    isTrue<Equal<typeof context.attempt, number>>();
  });
  isTrue<Equal<typeof handling, Handling>>();
  bus.handle(Place, (value) => {
    isTrue<Equal<typeof value, Out>>();
  });
  bus.handle(Place, { concurrency: 5 }, async (value) => {
    isTrue<Equal<typeof value, Out>>();
  });
  bus.handle(Place, { batch: { max: 10 } }, (batch, context) => {
    isTrue<Equal<typeof batch, Batch<Out>>>();
    isTrue<Equal<typeof context.signal, AbortSignal>>();
    return batch.map(({ value, message, attempt }) => {
      isTrue<Equal<typeof value, Out>>();
      isTrue<Equal<typeof message, StoredMessage>>();
      isTrue<Equal<typeof attempt, number>>();
      return ack();
    });
  });
  bus.queue("q").consume((message) => {
    isTrue<Equal<typeof message, StoredMessage>>();
  });
  bus
    .topic("t")
    .group("g")
    .consume({ batch: { max: 10 } }, (batch) => {
      isTrue<Equal<typeof batch, Batch<StoredMessage>>>();
      return batch.map(() => ack());
    });
  // @ts-expect-error: the input of the schema instead of its output.
  bus.on(Placed, { group: "g" }, (value: { id: string; total: string }) => value);
  // @ts-expect-error: there is no such field in the payload.
  bus.handle(Place, (value) => void value.name);
  // @ts-expect-error: a group is needed.
  bus.on(Placed, {}, () => undefined);
  // @ts-expect-error: a handler is needed.
  bus.handle(Place, { concurrency: 5 });
}

export function outcomes(bus: Bus<EmbeddedCapabilities>): void {
  bus.handle(Place, () => undefined);
  bus.handle(Place, async () => undefined);
  bus.handle(Place, () => ack());
  bus.handle(Place, async ({ total }) => {
    if (total < 0) return deadLetter("a negative total");
    if (total === 0) return drop();
    if (total > 1_000) return retry({ after: "5m" });
    return;
  });
  // @ts-expect-error: text is no outcome.
  bus.handle(Place, () => "done");
  // @ts-expect-error: a promise of a number is no outcome.
  bus.handle(Place, async () => 5);
  // @ts-expect-error: what looks like an outcome is none.
  bus.handle(Place, () => ({ kind: "ack" }));
  // @ts-expect-error: null is no outcome.
  bus.on(Placed, { group: "g" }, () => null);
  // @ts-expect-error: a boolean is no outcome: too many queues read it as one.
  bus.queue("q").consume(() => true);
  // @ts-expect-error: a reason is needed.
  deadLetter();
  // @ts-expect-error: a unit that does not exist.
  retry({ after: "5 minutes" });
  // @ts-expect-error: an outcome cannot be made by hand.
  const made: Outcome = { kind: "ack" };
  void made;
}

export function batches(bus: Bus<EmbeddedCapabilities>): void {
  const batch = { max: 10 } as const;
  bus.handle(Place, { batch }, async (items) => items.map(async () => ack()));
  // @ts-expect-error: a batch handler that returns nothing leaves its messages unhandled.
  bus.handle(Place, { batch }, () => undefined);
  // @ts-expect-error: a batch handler that returns one outcome leaves the others open.
  bus.handle(Place, { batch }, () => ack());
  // @ts-expect-error: a list of outcomes is not what map made: some may be missing.
  bus.handle(Place, { batch }, (items) => items.items.map(() => ack()));
  // @ts-expect-error: a path of the callback forgets its item.
  bus.handle(Place, { batch }, (items) => items.map(({ value }) => (value.total > 5 ? ack() : undefined)));
  bus.on(Placed, { group: "g", batch }, (items) =>
    // @ts-expect-error: a path of the callback ends without an outcome.
    items.map(({ value }) => {
      if (value.total > 5) return ack();
      return undefined;
    }),
  );
  // @ts-expect-error: an asynchronous callback that gives nothing.
  bus.handle(Place, { batch }, (items) => items.map(async () => undefined));
  // @ts-expect-error: the result cannot be made by hand.
  const made: BatchResult = {};
  void made;
  // @ts-expect-error: without the option batch a handler gets one message.
  bus.handle(Place, { concurrency: 5 }, (items) => items.map(() => ack()));
  const options = { batch: { max: 10 } };
  // @ts-expect-error: with the option batch, also from a variable, a handler has to settle each message.
  bus.handle(Place, options, () => undefined);
  // @ts-expect-error: with the option batch, also from a variable, a handler has to settle each message.
  bus.on(Placed, { group: "g", ...options }, async () => undefined);
  // @ts-expect-error: a batch has a size.
  bus.handle(Place, { batch: {} }, (items) => items.map(() => ack()));
}

export function options(bus: Bus<EmbeddedCapabilities>): void {
  const complete: HandlerOptions<EmbeddedCapabilities> = {
    concurrency: 8,
    prefetch: 100,
    lease: "30s",
    timeout: 5_000,
    orderBy: "key",
    onRetry: "park",
    retry: {
      attempts: 5,
      immediate: 1,
      delay: "1s",
      backoff: "linear",
      delayMax: "1m",
      jitter: 0.5,
      errors: [
        { error: Unavailable, use: { attempts: 100 } },
        { error: (thrown) => thrown === "bad", use: "dead-letter" },
        { error: TypeError, use: "drop" },
      ],
    },
  };
  bus.handle(Place, complete, () => undefined);
  bus.on(Placed, { ...complete, group: "g", from: "beginning" }, () => undefined);
  // @ts-expect-error: an option that does not exist.
  bus.handle(Place, { concurency: 8 }, () => undefined);
  // @ts-expect-error: an option that does not exist.
  bus.on(Placed, { group: "g", parallel: true }, () => undefined);
  // @ts-expect-error: commands have no groups.
  bus.handle(Place, { group: "g" }, () => undefined);
  // @ts-expect-error: an order that does not exist.
  bus.handle(Place, { orderBy: "subject" }, () => undefined);
  // @ts-expect-error: a growth that does not exist.
  bus.handle(Place, { retry: { backoff: "random" } }, () => undefined);
  // @ts-expect-error: an option that does not exist.
  bus.handle(Place, { retry: { tries: 5 } }, () => undefined);
  // @ts-expect-error: an error is told by its class or by a test, not by its name.
  bus.handle(Place, { retry: { errors: [{ error: "TypeError", use: "drop" }] } }, () => undefined);
  // @ts-expect-error: what a rule says is a policy, "dead-letter" or "drop".
  bus.handle(Place, { retry: { errors: [{ error: TypeError, use: "retry" }] } }, () => undefined);
  // @ts-expect-error: a group begins at what is new or at the beginning.
  bus.on(Placed, { group: "g", from: "end" }, () => undefined);
}

export async function deliveries(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  for await (const delivery of bus.queue("q").receive()) {
    isTrue<Equal<typeof delivery, Delivery>>();
    // @ts-expect-error: a reason is needed.
    await delivery.deadLetter();
  }
  const batch = await bus.topic("t").group("g").receiveBatch({ max: 5 });
  isTrue<Equal<typeof batch, Delivery[]>>();
}
