// Order by key: of each key one message at a time, in the order of its log, while other keys go on.

import { Ring } from "../collections/ring.js";

/** How many messages may wait behind busy keys before no further ones are looked at. */
const LANE_WAITING_MAX = 10_000;

class Lane {
  /** The offset that has the key's turn. */
  holder: number;
  waiting: Ring<number> | undefined = undefined;

  constructor(holder: number) {
    this.holder = holder;
  }
}

/** A lane per key that has a message in flight, held back for a retry, or waiting. Bounded by {@link LANE_WAITING_MAX}. */
export class KeyLanes {
  readonly #lanes = new Map<string, Lane>();
  #waitingCount = 0;

  get isFull(): boolean {
    return this.#waitingCount >= LANE_WAITING_MAX;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Whether `offset` has the turn of `key`; when not, it waits for it. */
  claim(key: string, offset: number): boolean {
    const lane = this.#lanes.get(key);
    if (lane === undefined) {
      this.#lanes.set(key, new Lane(offset));
      return true;
    }
    if (lane.holder === offset) return true;
    lane.waiting ??= new Ring();
    lane.waiting.push(offset);
    this.#waitingCount += 1;
    return false;
  }

  /** Ends the turn of `offset`. Returns the offset whose turn it is, or -1 when none waits. */
  release(key: string, offset: number): number {
    const lane = this.#lanes.get(key);
    if (lane === undefined || lane.holder !== offset) return -1;
    const next = lane.waiting?.shift();
    if (next === undefined) {
      this.#lanes.delete(key);
      return -1;
    }
    this.#waitingCount -= 1;
    lane.holder = next;
    return next;
  }

  clear(): void {
    this.#lanes.clear();
    this.#waitingCount = 0;
  }
}
