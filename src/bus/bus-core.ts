// What the parts of one bus share: its engine, whether it is open, and where errors go that nobody waits for.

import { BrokerError } from "../broker-error.js";
import type { Engine } from "../engines/engine.js";

export class BusCore {
  readonly engine: Engine;
  readonly onError: (error: unknown, where: string) => void;
  readonly #closers = new Set<() => void>();
  #isClosed = false;

  constructor(engine: Engine, onError: (error: unknown, where: string) => void) {
    this.engine = engine;
    this.onError = onError;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Errors: CLOSED. */
  assertOpen(): void {
    if (this.#isClosed) throw new BrokerError("CLOSED", "This bus is closed. Open another with openBus().");
  }

  /** `close` runs once, when the bus begins to close, unless what is returned was called before. */
  onClose(close: () => void): () => void {
    this.#closers.add(close);
    return () => this.#closers.delete(close);
  }

  beginClose(): void {
    this.#isClosed = true;
    for (const close of this.#closers) close();
    this.#closers.clear();
  }
}
