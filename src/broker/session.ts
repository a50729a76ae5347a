// Somebody who uses the broker for a while: what only they may use goes when they go.

import { BrokerError } from "../broker-error.js";

/** What belongs to one session. */
export interface Owned {
  readonly name: string;
}

export class Session {
  /** Shown in errors. */
  readonly name: string;
  readonly #queues = new Set<Owned>();
  readonly #remove: (queue: Owned) => Promise<void>;
  readonly #onClosed: (session: Session) => void;
  #closing: Promise<void> | undefined = undefined;

  /** Made by the broker. `remove` deletes a queue, if it is there. */
  constructor(name: string, remove: (queue: Owned) => Promise<void>, onClosed: (session: Session) => void) {
    this.name = name;
    this.#remove = remove;
    this.#onClosed = onClosed;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Errors: CLOSED. */
  assertOpen(): void {
    if (!this.isClosed) return;
    throw new BrokerError("CLOSED", `The session ${this.name} has ended. Open another.`, {
      session: this.name,
    });
  }

  /** The queue goes when this session ends, or now if it has. What cannot be deleted goes when the broker is opened again. */
  own(queue: Owned): void {
    if (this.isClosed) this.#remove(queue).catch(() => undefined);
    else this.#queues.add(queue);
  }

  disown(queue: Owned): void {
    this.#queues.delete(queue);
  }

  /** Deletes its exclusive queues. Resolves when they are gone. Errors: those of storage. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#onClosed(this);
    await Promise.all([...this.#queues].map((queue) => this.#remove(queue)));
  }
}
