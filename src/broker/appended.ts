// One message that was taken by a queue or a topic, on its way to its log's durability level.

import type { PendingAppend } from "../log/pending-append.js";

/** Hot: one object a message; the commit it waits for is shared by all messages of the batch. */
export class Appended {
  /** The queue or topic. */
  readonly destination: string;
  /** See {@link DeliveryStateParts.partition}. */
  readonly partition: number | undefined;
  readonly #pending: PendingAppend;
  readonly #index: number;

  constructor(destination: string, partition: number | undefined, pending: PendingAppend) {
    this.destination = destination;
    this.partition = partition;
    this.#pending = pending;
    this.#index = pending.recordCount - 1;
  }

  /** Resolves when the message has reached its log's durability level. Errors: DISK_FULL, STORAGE_FAILED, CLOSED. */
  get committed(): Promise<void> {
    return this.#pending.committed;
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
