// Counts the bytes that code allocates, collected or not. It only works in a process whose young generation is so large
// that nothing is collected while it counts: then the growth of the heap and of external memory is what was allocated.
// Should the collector run all the same, the count is refused.

import { PerformanceObserver } from "node:perf_hooks";

/** For the process that counts: 128 MiB and more of young objects, and a collector that can be called. */
export const METER_FLAGS = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"];

export interface Allocated {
  /** In the heap of V8: objects, strings, closures, promises. */
  readonly heapBytes: number;
  /** Outside of it: the memory of buffers. */
  readonly externalBytes: number;
}

export class AllocationMeter {
  readonly #collections: number[] = [];
  readonly #observer: PerformanceObserver;

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#collections.push(entry.startTime);
    });
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  /** What `action` allocates until its promise resolves. Rejects when something was collected meanwhile. */
  async count(action: () => Promise<void> | void): Promise<Allocated> {
    await collectAll();
    const beganAtMs = performance.now();
    const before = process.memoryUsage();
    await action();
    const after = process.memoryUsage();
    const endedAtMs = performance.now();
    await turns(3);
    if (this.#collections.some((atMs) => atMs > beganAtMs && atMs < endedAtMs)) {
      throw new Error("the garbage collector ran while allocations were counted: count fewer messages");
    }
    return {
      heapBytes: after.heapUsed - before.heapUsed,
      externalBytes: after.external - before.external,
    };
  }

  close(): void {
    this.#observer.disconnect();
  }
}

/** More than once, because the memory of dead buffers is given back some time after a collection, at the next one at the latest. */
async function collectAll(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await turns(3);
  }
}

/** The observer hears of a collection some turns after it. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
