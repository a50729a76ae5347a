// What the measurements of `bench scale` have in common: meters of time and memory, and ways to fill a queue.

import { embedded, openBus, type Queue } from "../../src/index.js";
import { BODY_BYTES } from "../bodies.js";

export const BATCH = 1_000;
const FILLERS = 4;

export function openDurable(directory: string, durability: "synced" | "written" = "synced") {
  return openBus(embedded({ directory, durability }));
}

/** Seconds that the processor has worked for this process: unlike the time that passed, it does not depend on others. */
export function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The most resident memory that this process has had. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Objects and buffers after garbage was collected. */
export async function usedBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export interface Pace {
  readonly perSecond: number;
  /** Microseconds of the processor for each. */
  readonly processorUs: number;
}

/** How fast `action` does `count` things. */
export async function paceOf(count: number, action: () => Promise<void>): Promise<Pace> {
  const beganMs = performance.now();
  const beganSeconds = processorSeconds();
  await action();
  return {
    perSecond: (1000 * count) / (performance.now() - beganMs),
    processorUs: (1e6 * (processorSeconds() - beganSeconds)) / count,
  };
}

export const BODY = Buffer.alloc(BODY_BYTES, "omnibus bench filler ");
export const BODIES: readonly Buffer[] = new Array(BATCH).fill(BODY);

/** Sends `count` messages, a thousand at a time and four thousand under way. Whole thousands. */
export async function fill(queue: Pick<Queue, "sendMany">, count: number): Promise<void> {
  let left = count;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= BATCH;
      await queue.sendMany(BODIES);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, one));
}
