// One message that was taken by a queue or a topic, on its way to its log's durability level.

import type { Log } from "../log/log.js";
import type { PendingAppend } from "../log/pending-append.js";

/** Hot: one object a message; the commit it waits for is shared by all messages of the batch. */
export class Appended {
  /** The queue or topic. */
  readonly destination: string;
  /** See {@link DeliveryStateParts.partition}. */
  readonly partition: number | undefined;
  /** When the message was first sent, if one with its id had been taken before: then nothing was stored for this one. */
  readonly firstSentMs: number | undefined;
  readonly #pending: PendingAppend;
  readonly #index: number;

  constructor(
    destination: string,
    partition: number | undefined,
    pending: PendingAppend,
    firstSentMs: number | undefined = undefined,
    index = pending.recordCount - 1,
  ) {
    this.destination = destination;
    this.partition = partition;
    this.firstSentMs = firstSentMs;
    this.#pending = pending;
    this.#index = index;
  }

  /** Resolves when the message has reached its log's durability level. Errors: DISK_FULL, STORAGE_FAILED, CLOSED. */
  get committed(): Promise<void> {
    return this.#pending.committed;
  }

  /** What is appended in the atomic step that runs now must not be stored without it. `log` is the one that took it. */
  requireIn(log: Log): void {
    log.require(this.#pending);
  }

  /** The same, for a duplicate of this message, which was sent at `firstSentMs`. */
  again(firstSentMs: number): Appended {
    return new Appended(this.destination, this.partition, this.#pending, firstSentMs, this.#index);
  }

  /** Its place in the log. Only known once committed. */
  get offset(): number {
    return this.#pending.baseOffset + this.#index;
  }
}

/** The id of a message that was given none when it was sent: the place where it was first stored. */
export function placeId(destination: string, partition: number | undefined, offset: number): string {
  return partition === undefined ? `${destination}:${offset}` : `${destination}/${partition}:${offset}`;
}
