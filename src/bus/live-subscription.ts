// Looking on at events as they are committed.

import type { EngineLive } from "../engines/engine.js";
import { StoredMessage } from "./stored-message.js";

export interface LiveOptions {
  /** Messages that may wait to be taken. @default 1000 */
  readonly buffer?: number;
  /** What happens to a message when the buffer is full. @default "drop-oldest" */
  readonly whenFull?: "drop-newest" | "drop-oldest" | "disconnect";
  /** Ends the stream. */
  readonly signal?: AbortSignal;
}

/** An endless stream of messages; `break`, the signal or the bus ends it. SLOW_SUBSCRIBER is thrown when it was disconnected. */
export class LiveSubscription implements AsyncIterable<StoredMessage> {
  readonly #live: EngineLive;

  constructor(live: EngineLive, signal: AbortSignal | undefined) {
    this.#live = live;
    signal?.addEventListener("abort", () => live.close(), { once: true });
    if (signal?.aborted) live.close();
  }

  /** Messages that were not taken in time. */
  get dropped(): number {
    return this.#live.dropped;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StoredMessage, void, undefined> {
    try {
      for (let message = await this.#live.take(); message !== undefined; message = await this.#live.take()) {
        yield new StoredMessage(message.record, message.source, message.partition);
      }
    } finally {
      this.#live.close();
    }
  }

  close(): void {
    this.#live.close();
  }
}
