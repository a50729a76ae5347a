// What has become of one stored message, as seen from outside, and looking at messages without taking them.

import type { StoredRecord } from "../log/record.js";
import type { DeliveryState } from "./delivery-state.js";
import { readRecords } from "./read-records.js";

/** What has become of a message, when it was asked. */
export interface MessageStatus {
  /** In flight: with a consumer, or on its way to the dead letters. Acknowledged: done, however; it is stored for a while. */
  readonly state: "waiting" | "in-flight" | "acknowledged";
  /** Tries so far, one that is under way included; undefined once it is acknowledged. */
  readonly attempts: number | undefined;
  /** The name of the consumer that has it. */
  readonly consumer: string | undefined;
  /** What went wrong in its last try. */
  readonly error: string | undefined;
}

/** A consumer, as far as it is asked for a message. */
interface Holder {
  readonly name: string;
  find(state: DeliveryState, offset: number): { readonly attempt: number } | undefined;
}

/** A message, and where it is kept track of. */
export interface PlacedMessage {
  readonly record: StoredRecord;
  readonly state: DeliveryState;
  /** See {@link DeliveryState.partition}. */
  readonly partition: number | undefined;
}

/** A message that was looked at. */
export class SeenMessage implements PlacedMessage {
  readonly record: StoredRecord;
  readonly state: DeliveryState;
  readonly partition: number | undefined;
  readonly #holders: readonly Holder[];

  constructor(record: StoredRecord, state: DeliveryState, holders: readonly Holder[]) {
    this.record = record;
    this.state = state;
    this.partition = state.partition;
    this.#holders = holders;
  }

  get status(): MessageStatus {
    return statusOf(this.state, this.record.offset, this.#holders);
  }
}

/** `holders` are those who may have the message. */
export function statusOf(state: DeliveryState, offset: number, holders: readonly Holder[]): MessageStatus {
  if (state.isSettled(offset))
    return { state: "acknowledged", attempts: undefined, consumer: undefined, error: undefined };
  const { attempts = 0, error } = state.failureOf(offset) ?? {};
  if (state.isWaiting(offset)) return { state: "waiting", attempts, consumer: undefined, error };
  for (const holder of holders) {
    const delivery = holder.find(state, offset);
    if (delivery !== undefined)
      return { state: "in-flight", attempts: delivery.attempt, consumer: holder.name, error };
  }
  return { state: "in-flight", attempts, consumer: undefined, error };
}

/** Messages of one log, oldest first, without taking them: those that are not settled, or all that are stored. */
export async function* look(
  state: DeliveryState,
  isAll: boolean,
  holders: readonly Holder[],
): AsyncGenerator<SeenMessage> {
  const { log } = state;
  const ranges = isAll ? [[state.startOffset, log.highWatermark] as const] : state.unsettledRanges();
  for (const [start, end] of ranges) {
    for await (const record of readRecords(log, start, end)) yield new SeenMessage(record, state, holders);
  }
}
