// The messages of one priority of a queue: those in its log, what became of each, and those on their way to disk.

import type { PendingAppend } from "../log/pending-append.js";
import type { DeliveryState } from "./delivery-state.js";
import { UncommittedBodies } from "./uncommitted-bodies.js";

export class QueueLevel {
  readonly state: DeliveryState;
  readonly #uncommitted = new UncommittedBodies();

  /** `onCommitted` runs after messages became readable, with how many. */
  constructor(state: DeliveryState, onCommitted: (count: number) => void) {
    this.state = state;
    state.log.onCommit = () => {
      const committed = this.#uncommitted.takeCommitted();
      state.addBodyBytes(committed.bytes);
      onCommitted(committed.count);
    };
  }

  /** Messages that are not settled, those on their way to disk included. */
  get count(): number {
    return this.state.unsettledCount + this.#uncommitted.count;
  }

  /** Of the messages that are not settled, those on their way to disk included. */
  get bodyBytes(): number {
    return Math.max(0, this.state.bodyBytes.unsettled + this.#uncommitted.bytes);
  }

  /** Hot: `pending` took a message. Returns whether it is the first of its batch. */
  track(pending: PendingAppend, bodyBytes: number): boolean {
    return this.#uncommitted.add(pending, bodyBytes);
  }
}
