// Ten million waiting messages: the memory of the process that has them, how long a directory with them takes to open, and
// how fast they drain, beside a queue that is drained as it is filled.

import { embedded, openBus } from "../../src/index.js";
import { BATCH, BODIES, fill, openDurable, type Pace, paceOf, peakRssBytes } from "./meters.js";

const QUEUE = "backlog";
/** Messages on their way through the queue that is drained as it is filled. */
const FLOW_DEPTH = 2_000;
const FLOW_MESSAGES = 2_000_000;

export interface Filled extends Pace {
  readonly rssBytes: number;
  readonly peakRssBytes: number;
}

/** Fills a queue, and ends without closing: as if the process had been killed. */
export async function fillBacklog(directory: string, messages: number): Promise<Filled> {
  const bus = await openDurable(directory);
  const pace = await paceOf(messages, () => fill(bus.queue(QUEUE), messages));
  return { ...pace, rssBytes: process.memoryUsage.rss(), peakRssBytes: peakRssBytes() };
}

export interface Reopened {
  readonly openMs: number;
  /** Until the first message of the backlog is handed out. */
  readonly firstMs: number;
  readonly rssBytes: number;
}

/** Opens a directory that waits with `messages`, and closes it again. */
export async function reopen(directory: string, messages: number): Promise<Reopened> {
  const beganMs = performance.now();
  const bus = await openBus(embedded({ directory }));
  const openMs = performance.now() - beganMs;
  const queue = bus.queue(QUEUE);
  const [first] = await queue.receiveBatch({ max: 1, wait: "30s" });
  const firstMs = performance.now() - beganMs;
  await first?.release();
  const { waiting } = await queue.statistics();
  if (waiting !== messages) throw new Error(`${waiting} messages wait, and not ${messages}`);
  const rssBytes = process.memoryUsage.rss();
  await bus.close();
  return { openMs, firstMs, rssBytes };
}

export interface Drained extends Pace {
  readonly peakRssBytes: number;
}

/** Handles everything that waits. */
export async function drain(directory: string, messages: number): Promise<Drained> {
  const bus = await openBus(embedded({ directory }));
  let left = messages;
  const pace = await paceOf(messages, () => {
    return new Promise<void>((resolve) => {
      bus.queue(QUEUE).consume({ prefetch: BATCH }, () => {
        left -= 1;
        if (left === 0) resolve();
      });
    });
  });
  await bus.close();
  return { ...pace, peakRssBytes: peakRssBytes() };
}

/** Sends and handles at once: the queue is all but empty. */
export async function flow(directory: string): Promise<Pace> {
  const bus = await openDurable(directory);
  const queue = bus.queue(QUEUE);
  let handled = 0;
  let wake = (): void => undefined;
  await queue.consume({ prefetch: BATCH }, () => {
    handled += 1;
    if (handled % BATCH === 0) wake();
  }).ready;
  const pace = await paceOf(FLOW_MESSAGES, async () => {
    const sending: Promise<unknown>[] = [];
    for (let sent = 0; handled < FLOW_MESSAGES; ) {
      while (sent < FLOW_MESSAGES && sent - handled < FLOW_DEPTH) {
        sending.push(queue.sendMany(BODIES));
        sent += BATCH;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await Promise.all(sending);
  });
  await bus.close();
  return pace;
}
