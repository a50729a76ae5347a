// The messages of one queue or subscription that are on their way to its dead letters, or are dropped where it keeps none.

import { isBrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import { type DeadLetterReason, type Death, ERROR_LENGTH_MAX } from "./dead-letter.js";
import type { DeliveryState } from "./delivery-state.js";
import type { DispatcherCounters } from "./dispatcher-counters.js";
import type { Failure } from "./failures.js";

/** How long a message waits when its dead letter could not be written. */
const RETRY_MS = 1_000;
/** How many are under way at once, apart from those that consumers ask for. */
const UNDER_WAY_MAX = 256;

/** A dead letter on its way to disk. */
export interface Burial {
  readonly committed: Promise<unknown>;
}

/** What burials need of their queue or subscription. */
export interface BurialsParts {
  /** The queue, or `topic/group`. */
  readonly name: string;
  readonly clock: Clock;
  readonly counters: DispatcherCounters;
  /**
   * Writes the dead letter and settles the message as one atomic step, which is on its way when it resolves; with undefined,
   * having done nothing, when it is to be kept nowhere. Undefined: such messages are dropped.
   */
  readonly moveToDeadLetters:
    | ((record: StoredRecord, state: DeliveryState, entry: Death) => Promise<Burial | undefined>)
    | undefined;
  /** Runs when one has ended: its message is settled, or held for another try. */
  readonly onEnded: (isSettled: boolean) => void;
  /** Hears of what cannot be told to any caller. */
  readonly onError: (error: unknown, where: string) => void;
}

export class Burials {
  /** How many messages are under way. Each counts as in flight. */
  count = 0;
  /** Of their bodies. */
  bytes = 0;
  readonly #parts: BurialsParts;
  readonly #waiting: (() => void)[] = [];

  constructor(parts: BurialsParts) {
    this.#parts = parts;
  }

  /** Whether no further ones should be begun. */
  get isFull(): boolean {
    return this.count >= UNDER_WAY_MAX;
  }

  /**
   * Resolves when the message, which is in flight, is among the dead letters and settled. Errors: those of storage; the
   * message is then held and tried again later, with `failure`. But when storage failed while it was on its way, nobody knows
   * whether it got there before the broker is opened again, and until then nobody gets it.
   */
  async bury(
    record: StoredRecord,
    state: DeliveryState,
    reason: DeadLetterReason,
    failure: Failure,
  ): Promise<void> {
    const { moveToDeadLetters, counters } = this.#parts;
    this.#count(record, 1);
    let burial: Burial | undefined;
    try {
      burial = await moveToDeadLetters?.(record, state, this.#entry(record, state, reason, failure));
      await burial?.committed;
    } catch (error) {
      this.#count(record, -1);
      // The journal may hold it all the same: a message that was handed out again would then be handled, and be a dead letter.
      const isUnknown = burial !== undefined && isBrokerError(error, "STORAGE_FAILED");
      if (!isUnknown) this.#hold(record, state, failure);
      throw error;
    }
    state.settle(record);
    if (burial === undefined) counters.dropped += 1;
    else counters.deadLettered += 1;
    if (reason === "expired") counters.expired += 1;
    this.#count(record, -1);
    this.#parts.onEnded(true);
  }

  /** As {@link bury}, for a message that no consumer has. Resolves with whether it went well, and never rejects. */
  async buryWaiting(
    record: StoredRecord,
    state: DeliveryState,
    reason: DeadLetterReason,
    error: string,
  ): Promise<boolean> {
    const earlier = state.failureOf(record.offset);
    const failure: Failure = {
      attempts: earlier?.attempts ?? 0,
      readyAtMs: 0,
      error: error.slice(0, ERROR_LENGTH_MAX),
      firstFailedAtMs: earlier?.firstFailedAtMs ?? this.#parts.clock.nowMs(),
      isParked: false,
    };
    // Should the process die meanwhile, that is no try of it.
    state.keepUnbegun(record.offset);
    try {
      await this.bury(record, state, reason, failure);
      return true;
    } catch (problem) {
      this.#parts.onError(problem, `dead-lettering message ${record.offset} of ${this.#parts.name}`);
      return false;
    }
  }

  /** Resolves when none is under way. */
  async ended(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #count({ valueSizeBytes }: StoredRecord, change: 1 | -1): void {
    this.count += change;
    this.bytes += change * valueSizeBytes;
    if (this.count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Tries again later. */
  #hold(record: StoredRecord, state: DeliveryState, failure: Failure): void {
    const readyAtMs = this.#parts.clock.nowMs() + RETRY_MS;
    state.holdUntil(record, readyAtMs, { ...failure, readyAtMs }, true);
    this.#parts.onEnded(false);
  }

  #entry(record: StoredRecord, state: DeliveryState, reason: DeadLetterReason, failure: Failure): Death {
    return {
      source: this.#parts.name,
      partition: state.partition,
      offset: record.offset,
      reason,
      error: failure.error,
      attempts: failure.attempts,
      firstFailedAtMs: failure.firstFailedAtMs,
      deadAtMs: this.#parts.clock.nowMs(),
    };
  }
}
