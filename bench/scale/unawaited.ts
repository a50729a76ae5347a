// A publisher that awaits nothing: ten million calls, in a loop that never gives way to anything else, and in one that lets
// the event loop go on after so many calls.

import { bytes, event, isBrokerError } from "../../src/index.js";
import { BODY, openDurable, peakRssBytes } from "./meters.js";

export type CallWay = "publish" | "queue send" | "producer send";

export interface Unawaited {
  readonly way: CallWay;
  readonly calls: number;
  /** After so many calls the event loop goes on; 0: never. */
  readonly yieldAfter: number;
  readonly stored: number;
  readonly refused: number;
  readonly seconds: number;
  readonly peakRssBytes: number;
  readonly error?: string;
}

/** Of so many calls one is listened to: listening to all would take the memory of the publisher, not of the bus. */
const LISTENED = 100;

const Called = event<Uint8Array>("called.once", { codec: bytes });

type OpenBus = Awaited<ReturnType<typeof openDurable>>;

function callerOf(bus: OpenBus, way: CallWay): () => Promise<unknown> {
  if (way === "publish") return () => bus.publish(Called, BODY);
  if (way === "producer send") {
    const producer = bus.producer(Called);
    return () => producer.send(BODY);
  }
  const queue = bus.queue("called");
  return () => queue.send(BODY);
}

export async function unawaited(
  directory: string,
  way: CallWay,
  calls: number,
  yieldAfter: number,
): Promise<Unawaited> {
  const bus = await openDurable(directory);
  const call = callerOf(bus, way);
  await call();
  let stored = 0;
  let refused = 0;
  let unexpected: unknown;
  const wasStored = () => {
    stored += 1;
  };
  const wasRefused = (error: unknown) => {
    refused += 1;
    if (!isBrokerError(error, "TOO_MANY_PENDING")) unexpected = error;
  };
  process.on("unhandledRejection", (error) => {
    if (!isBrokerError(error, "TOO_MANY_PENDING")) unexpected = error;
  });
  const beganMs = performance.now();
  for (let called = 0; called < calls; called += 1) {
    const promise = call();
    if (called % LISTENED === 0) promise.then(wasStored, wasRefused);
    if (yieldAfter > 0 && called % yieldAfter === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  while (stored + refused < calls / LISTENED) await new Promise((resolve) => setTimeout(resolve, 10));
  const seconds = (performance.now() - beganMs) / 1000;
  if (unexpected !== undefined) throw unexpected;
  const peak = peakRssBytes();
  await bus.close();
  return { way, calls, yieldAfter, stored, refused, seconds, peakRssBytes: peak };
}
