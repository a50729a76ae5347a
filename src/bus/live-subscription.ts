// Looking on at events as they are committed.

import type { EngineLive } from "../engines/engine.js";
import { onAbort } from "../io/on-abort.js";
import type { BusCore } from "./bus-core.js";
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
  readonly #core: BusCore;
  readonly #live: EngineLive;
  readonly #forget: (() => void)[];

  constructor(core: BusCore, live: EngineLive, signal: AbortSignal | undefined) {
    this.#core = core;
    this.#live = live;
    this.#forget = [core.onClose(() => this.close())];
    if (signal !== undefined) this.#forget.push(onAbort(signal, () => this.close()));
  }

  /** Messages that were not taken in time. */
  get dropped(): number {
    return this.#live.dropped;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StoredMessage, void, undefined> {
    try {
      for (let message = await this.#take(); message !== undefined; message = await this.#take()) {
        yield new StoredMessage(message.record, message.source, message.partition);
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    for (const forget of this.#forget.splice(0)) forget();
    this.#live.close();
  }

  /** Somebody waits here: the process stays alive. */
  async #take(): ReturnType<EngineLive["take"]> {
    const release = this.#core.keepAlive();
    try {
      return await this.#live.take();
    } finally {
      release();
    }
  }
}
