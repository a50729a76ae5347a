// Order by key: of each key one message at a time, in the order of its log, while other keys go on.

import { Ring } from "../collections/ring.js";
import type { StoredRecord } from "../log/record.js";

/** How many messages may wait behind busy keys before no further ones are looked at. */
const LANE_WAITING_MAX = 10_000;

/** The line of one key. Whoever was given the lane has the turn. */
class Lane {
  readonly key: string;
  /** Who waits, first to last: owners and offsets in step. */
  owners: Ring<KeyTurns> | undefined = undefined;
  offsets: Ring<number> | undefined = undefined;

  constructor(key: string) {
    this.key = key;
  }
}

/**
 * A lane per key that has a message in flight, held back for a retry, or waiting. Shared by all logs of a queue or
 * subscription, so that a replayed message waits for its key like any other.
 */
export class KeyLanes {
  readonly #lanes = new Map<string, Lane>();
  #waitingCount = 0;

  /** Whether so many wait that no further messages should be looked at. */
  get isFull(): boolean {
    return this.#waitingCount >= LANE_WAITING_MAX;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** The lane of `key` when it was free: the message has the turn. Undefined when it waits in line from now on. */
  enter(key: string, owner: KeyTurns, offset: number): Lane | undefined {
    const lane = this.#lanes.get(key);
    if (lane === undefined) {
      const free = new Lane(key);
      this.#lanes.set(key, free);
      return free;
    }
    lane.owners ??= new Ring();
    lane.offsets ??= new Ring();
    lane.owners.push(owner);
    lane.offsets.push(offset);
    this.#waitingCount += 1;
    return undefined;
  }

  /** Ends a turn: the first that still waits gets it, or the lane is gone. */
  passOn(lane: Lane): void {
    for (let owner = lane.owners?.shift(); owner !== undefined; owner = lane.owners?.shift()) {
      this.#waitingCount -= 1;
      if (owner.give(lane.offsets!.shift()!, lane)) return;
    }
    this.#lanes.delete(lane.key);
  }

  /** Forgets all that wait of `owner`. Turns stay as they are. */
  removeWaitingOf(owner: KeyTurns): void {
    for (const lane of this.#lanes.values()) {
      for (let left = lane.owners?.size ?? 0; left > 0; left -= 1) {
        const waiting = lane.owners!.shift()!;
        const offset = lane.offsets!.shift()!;
        if (waiting === owner) {
          this.#waitingCount -= 1;
        } else {
          lane.owners!.push(waiting);
          lane.offsets!.push(offset);
        }
      }
    }
  }
}

/** The messages of one log that have the turn of their key, in flight or held. */
export class KeyTurns {
  readonly #turns = new Map<number, Lane>();
  readonly #onTurn: (offset: number) => boolean;
  #lanes: KeyLanes | undefined = undefined;

  /** `onTurn` runs when a message that stood in line gets the turn, and returns false when it does not wait any more. */
  constructor(onTurn: (offset: number) => boolean) {
    this.#onTurn = onTurn;
  }

  /** Whether so many stand in line that no further messages should be looked at. */
  get isFull(): boolean {
    return this.#lanes?.isFull === true;
  }

  /** Keys have lines from now on. */
  start(lanes: KeyLanes): void {
    this.#lanes ??= lanes;
  }

  /** Hot: whether it is the record's turn. When not, it stands in the line of its key from now on. */
  take(record: StoredRecord): boolean {
    if (this.#lanes === undefined || this.#turns.has(record.offset)) return true;
    const key = record.keyText();
    if (key === null) return true;
    const lane = this.#lanes.enter(key, this, record.offset);
    if (lane === undefined) return false;
    this.#turns.set(record.offset, lane);
    return true;
  }

  /** For the lanes: gives the turn to a message that stood in line. */
  give(offset: number, lane: Lane): boolean {
    if (!this.#onTurn(offset)) return false;
    this.#turns.set(offset, lane);
    return true;
  }

  /** Hot: ends the turn of the message, if it has one. */
  pass(offset: number): void {
    if (this.#turns.size === 0) return;
    const lane = this.#turns.get(offset);
    if (lane === undefined) return;
    this.#turns.delete(offset);
    this.#lanes!.passOn(lane);
  }

  /** Those that have the turn. */
  offsets(): number[] {
    return [...this.#turns.keys()];
  }

  /** Forgets all that stand in line. */
  removeWaiting(): void {
    this.#lanes?.removeWaitingOf(this);
  }
}
