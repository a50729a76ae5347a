// The ways to use a queue whose allocations are counted. Each is a list of steps that are taken for all messages before
// the next one, so that each can be counted by itself.

import { type Bus, bytes, type CommandType, command, type Delivery } from "../src/index.js";
import { BodyRing } from "./bodies.js";

/** An operation of the report and what carries it out. */
export type Step = readonly [operation: string, action: () => Promise<void>];

export type Way = (bus: Bus, messages: number) => Step[];

const BATCH = 1000;
const LEASE = "5m";

/** `send`, `receive` and `ack`, a call per message. */
export const oneByOne: Way = (bus, messages) => {
  const queue = bus.queue("one-by-one", { inFlightMax: messages });
  const bodies = new BodyRing(0, messages);
  const pending: Promise<unknown>[] = [];
  const deliveries: Delivery[] = [];
  let receiving = queue.receive();
  return [
    [
      "publish",
      () => {
        for (let number = 0; number < messages; number++) pending.push(queue.send(bodies.body(number)));
        return untilAppended();
      },
    ],
    ["store", () => allOf(pending)],
    [
      "deliver",
      async () => {
        receiving = queue.receive({ prefetch: messages, lease: LEASE });
        while (deliveries.length < messages) {
          const next = await receiving.next();
          if (next.done === true) throw new Error("the queue ended before all messages were delivered");
          deliveries.push(next.value);
        }
      },
    ],
    [
      "settle",
      async () => {
        for (const delivery of deliveries) await delivery.ack();
        deliveries.length = 0;
        await receiving.return();
      },
    ],
  ];
};

/** `sendMany` in batches and a handler that returns at once. Delivering and settling cannot be told apart. */
export const handled: Way = (bus, messages) => {
  const Bench = command("bench.handled", { codec: bytes });
  const bodies = new BodyRing(0, messages);
  const pending: Promise<unknown>[] = [];
  return [
    [
      "publish",
      () => {
        for (let first = 0; first < messages; first += BATCH) {
          pending.push(bus.sendMany(Bench, batchFrom(bodies, first)));
        }
        return untilAppended();
      },
    ],
    ["store", () => allOf(pending)],
    ["deliver and settle", () => handleAll(bus, Bench, messages)],
  ];
};

async function handleAll(bus: Bus, type: CommandType<Uint8Array>, messages: number): Promise<void> {
  let left = messages;
  await new Promise<void>((resolve) => {
    bus.handle(type, { prefetch: BATCH }, () => {
      left -= 1;
      if (left === 0) resolve();
    });
  });
  await bus.drain();
}

function batchFrom(bodies: BodyRing, first: number): Uint8Array[] {
  const batch: Uint8Array[] = [];
  for (let number = first; number < first + BATCH; number++) batch.push(bodies.body(number));
  return batch;
}

async function allOf(pending: Promise<unknown>[]): Promise<void> {
  for (const promise of pending) await promise;
  pending.length = 0;
}

/** What was called appends in microtasks; the commit that makes it durable begins in a later turn. */
async function untilAppended(): Promise<void> {
  for (let microtask = 0; microtask < 20; microtask++) await undefined;
}
