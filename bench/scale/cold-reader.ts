// What publishers keep of their rate while a group works off a backlog that is not in memory: windows without and with the
// reader take turns, so that what else the machine does falls on both.

import { BATCH, BODIES, BODY, openDurable } from "./meters.js";

const TOPIC = "cold";
const BACKLOG = 2_000_000;
const WINDOWS = 21;
const WINDOW_MS = 300;

export interface ColdReader {
  readonly durability: "synced" | "written";
  /** Messages under way, in batches of so many. */
  readonly depth: number;
  readonly batch: number;
  readonly alonePerSecond: number;
  readonly besidePerSecond: number;
  /** What was published beside the reader, of what was in the window before: the median of all pairs of windows. */
  readonly keptShare: number;
  readonly readPerSecond: number;
  /** Of the processor, in windows without and with the reader. */
  readonly aloneProcessorShare: number;
  readonly besideProcessorShare: number;
}

export async function coldReader(
  directory: string,
  durability: "synced" | "written",
  depth: number,
  batch: number,
): Promise<ColdReader> {
  const bus = await openDurable(directory, durability);
  const topic = bus.topic(TOPIC);
  const group = topic.group("reader", { from: "beginning" });
  await group.declare();
  for (let sent = 0; sent < BACKLOG; sent += 4 * BATCH)
    await Promise.all(Array.from({ length: 4 }, () => topic.publishMany(BODIES)));

  const bodies = BODIES.slice(0, batch);
  const publish = async (untilMs: number): Promise<number> => {
    let published = 0;
    const one = async (): Promise<void> => {
      while (performance.now() < untilMs) {
        if (batch === 1) await topic.publish(BODY);
        else await topic.publishMany(bodies);
        published += batch;
      }
    };
    await Promise.all(Array.from({ length: depth / batch }, one));
    return published;
  };
  const window = async (sum: {
    published: number;
    seconds: number;
    processorUs: number;
  }): Promise<number> => {
    const beganMs = performance.now();
    const before = process.cpuUsage();
    const published = await publish(beganMs + WINDOW_MS);
    const seconds = (performance.now() - beganMs) / 1000;
    const { user, system } = process.cpuUsage(before);
    sum.published += published;
    sum.processorUs += user + system;
    sum.seconds += seconds;
    return published / seconds;
  };
  await publish(performance.now() + WINDOW_MS);

  const alone = { published: 0, seconds: 0, processorUs: 0 };
  const beside = { published: 0, seconds: 0, processorUs: 0 };
  const kept: number[] = [];
  let read = 0;
  for (let index = 0; index < WINDOWS; index += 1) {
    const alonePerSecond = await window(alone);
    const reading = group.consume({ prefetch: 100 }, () => {
      read += 1;
    });
    await reading.ready;
    kept.push((await window(beside)) / alonePerSecond);
    await reading.close();
  }
  await bus.close();
  return {
    durability,
    depth,
    batch,
    alonePerSecond: alone.published / alone.seconds,
    besidePerSecond: beside.published / beside.seconds,
    keptShare: kept.sort((a, b) => a - b)[WINDOWS >> 1]!,
    readPerSecond: read / beside.seconds,
    aloneProcessorShare: alone.processorUs / alone.seconds / 1e6,
    besideProcessorShare: beside.processorUs / beside.seconds / 1e6,
  };
}
