// The proof that a message was taken.

import { placeId } from "../broker/appended.js";
import type { EngineAppended } from "../engines/engine.js";
import { unlessAborted } from "./abortable.js";

/** A message that has reached the durability of its queue or topic: on disk, unless it was declared otherwise. */
export class Receipt {
  /** The queue or topic. */
  readonly destination: string;
  /** Of the topic; of a queue with priorities, the level that the message is at; undefined for any other queue. */
  readonly partition: number | undefined;
  /** Its number in the log of the queue, level or partition. */
  readonly offset: number;
  /** When it was sent, in milliseconds since 1970. */
  readonly timestampMs: number;
  /** Whether nothing was stored, because a message with this id had been before: the rest says where that one is. */
  readonly isDuplicate: boolean;
  readonly #givenId: string | undefined;

  constructor(appended: EngineAppended, timestampMs: number, givenId: string | undefined) {
    this.destination = appended.destination;
    this.partition = appended.partition;
    this.offset = appended.offset;
    this.timestampMs = appended.firstSentMs ?? timestampMs;
    this.isDuplicate = appended.firstSentMs !== undefined;
    this.#givenId = givenId;
  }

  /** Given when it was sent, else made of its place. */
  get id(): string {
    return this.#givenId ?? placeId(this.destination, this.partition, this.offset);
  }

  toJSON(): object {
    const { id, destination, partition, offset, timestampMs, isDuplicate } = this;
    return { id, destination, partition, offset, timestampMs, ...(isDuplicate ? { isDuplicate } : {}) };
  }
}

/** Hot: resolves when it is committed. Errors: those of the commit, the reason of the signal. */
export function receiptOf(
  appended: EngineAppended,
  timestampMs: number,
  options: { readonly signal?: AbortSignal; readonly id?: string } | undefined,
): Promise<Receipt> {
  const { committed } = appended;
  return unlessAborted(committed, options?.signal).then(
    () => new Receipt(appended, timestampMs, options?.id),
  );
}
