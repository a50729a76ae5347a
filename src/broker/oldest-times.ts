// When the oldest message of each source was stored, known without keeping a message of any source in memory.

import type { Log } from "../log/log.js";
import { RecordReader } from "../log/record-reader.js";
import type { StoredBatch } from "../log/stored-batch.js";
import type { DeliveryState } from "./delivery-state.js";

/** The message, or the gap before it, and when it was stored. */
interface Oldest {
  readonly offset: number;
  readonly timestampMs: number;
}

export class OldestTimes {
  /** Weak: what is deleted is forgotten. */
  readonly #known = new WeakMap<DeliveryState, Oldest>();
  /** To be read from disk, one after the other, so that many cost no more memory than one. */
  readonly #wanted = new Set<DeliveryState>();
  #isReading = false;

  /**
   * Of the oldest message that is not in flight, over all of `states`. Undefined when there is none, and where it has to
   * be read from disk: that begins, and it is known the next time.
   */
  ageMs(states: Iterable<DeliveryState>, nowMs: number): number | undefined {
    let oldestMs: number | undefined;
    for (const state of states) {
      const timestampMs = this.#timestampMs(state);
      if (timestampMs !== undefined && !(oldestMs !== undefined && oldestMs <= timestampMs))
        oldestMs = timestampMs;
    }
    return oldestMs === undefined ? undefined : Math.max(0, nowMs - oldestMs);
  }

  #timestampMs(state: DeliveryState): number | undefined {
    const offset = state.oldestOffset();
    if (offset === undefined) return undefined;
    const known = this.#known.get(state);
    if (known?.offset === offset) return known.timestampMs;
    const cached = state.log.cachedBatch(offset);
    if (cached !== undefined) return this.#learn(state, offset, cached);
    this.#wanted.add(state);
    if (!this.#isReading) void this.#readAll();
    return undefined;
  }

  #learn(state: DeliveryState, offset: number, batch: StoredBatch): number {
    const timestampMs = timestampOf(batch, offset);
    this.#known.set(state, { offset, timestampMs });
    return timestampMs;
  }

  /** Never rejects: what cannot be read stays unknown, and whoever consumes it says why. */
  async #readAll(): Promise<void> {
    this.#isReading = true;
    for (const state of this.#wanted) {
      this.#wanted.delete(state);
      const offset = state.oldestOffset();
      const batch = offset === undefined ? undefined : await firstBatch(state.log, offset);
      if (offset !== undefined && batch !== undefined) this.#learn(state, offset, batch);
    }
    this.#isReading = false;
  }
}

async function firstBatch(log: Log, offset: number): Promise<StoredBatch | undefined> {
  try {
    return (await log.read(offset, 1))[0];
  } catch {
    return undefined;
  }
}

/** Compaction may have left a gap at the end of the batch: then its last message is near enough. */
function timestampOf(batch: StoredBatch, offset: number): number {
  const reader = new RecordReader(batch);
  reader.skipTo(offset);
  return reader.next()?.timestampMs ?? batch.maxTimestampMs;
}
