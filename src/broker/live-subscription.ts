// Seeing messages as they are committed or published live, without a cursor that is kept: for looking on, not for work.

import { BrokerError } from "../broker-error.js";
import { Ring } from "../collections/ring.js";
import type { Clock } from "../io/io.js";
import type { StoredRecord } from "../log/record.js";
import { type Followed, LiveCatchUp } from "./live-catch-up.js";
import { CommittedMessage, type LiveMessage, type LiveReceiver, subjectOf } from "./live-message.js";
import { RoomWaiters } from "./room-waiters.js";

/** What happens to a message that a live subscription has no room for. */
export type FullPolicy =
  | "drop-newest"
  | "drop-oldest"
  | "disconnect"
  /** A message of a topic is read from its log later; whoever publishes live waits. */
  | "wait";

export interface LiveSubscriptionOptions {
  readonly pattern: string;
  /** Messages that may wait to be taken. */
  readonly bufferMax: number;
  readonly whenFull: FullPolicy;
  /** Of the subscriptions of one group that match a message, one sees it. @default sees all, whoever else does */
  readonly group?: string | undefined;
}

/** What a live subscription needs of its feed. */
export interface LiveSubscriptionParts {
  readonly clock: Clock;
  readonly onError: (error: unknown, where: string) => void;
}

export class LiveSubscription implements LiveReceiver {
  readonly options: LiveSubscriptionOptions;
  readonly group: string | undefined;
  /** Messages that were not taken in time. */
  dropped = 0;
  readonly #onClose: (subscription: LiveSubscription) => void;
  /** Made with the first message: most of a million subscriptions hold none. */
  #buffer: Ring<LiveMessage> | undefined = undefined;
  /** Of those who wait in {@link take}. */
  #wakeTakers: Set<() => void> | undefined = undefined;
  /** With `wait` only, like the next. */
  readonly #catchUp: LiveCatchUp | undefined;
  readonly #waiters: RoomWaiters | undefined;
  /** Whose turn it is when there is room: the logs' or a publisher's. */
  #isLogsTurn = false;
  #isClosed = false;
  #error: BrokerError | undefined = undefined;

  /** Errors: INVALID_OPTION, INVALID_SUBJECT. */
  constructor(
    options: LiveSubscriptionOptions,
    { clock, onError }: LiveSubscriptionParts,
    onClose: (subscription: LiveSubscription) => void,
  ) {
    assertOptions(options);
    const { pattern, group, whenFull } = options;
    const waits = whenFull === "wait";
    this.options = options;
    this.group = group;
    this.#onClose = onClose;
    this.#catchUp = waits ? new LiveCatchUp(pattern, this, onError) : undefined;
    this.#waiters = waits
      ? new RoomWaiters(`the live subscription to ${pattern}`, clock, (besides) => this.#hasRoom(besides))
      : undefined;
  }

  /** Whether a publisher should {@link waitForRoom} before it publishes live. */
  get mustWait(): boolean {
    return this.#waiters?.mustWait ?? false;
  }

  /** Whether one more message would be taken. */
  get hasRoom(): boolean {
    return this.#hasRoom(0);
  }

  /** Resolves when there is room for one message, or the subscription was closed. Errors: TOO_MANY_PENDING, the signal's reason. */
  async waitForRoom(signal: AbortSignal | undefined): Promise<void> {
    await this.#waiters?.wait(signal).catch((error: unknown) => {
      if (!this.#isClosed) throw error;
    });
  }

  /** The next message, or undefined after {@link close}. Errors: SLOW_SUBSCRIBER once it was disconnected, the signal's reason. */
  async take(signal?: AbortSignal): Promise<LiveMessage | undefined> {
    for (;;) {
      signal?.throwIfAborted();
      const message = this.#buffer?.shift();
      if (message !== undefined) {
        if (this.#catchUp !== undefined) this.#refill();
        return message;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#isClosed) return undefined;
      await this.#arrival(signal);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose(this);
    this.#catchUp?.close();
    this.#waiters?.close();
    this.#wakeAll();
  }

  /** Hot: called for each message that matches. */
  offer(message: LiveMessage): boolean {
    if (this.#isClosed) return false;
    if (this.#catchUp !== undefined) return this.#offerOrWait(message);
    if (!this.hasRoom && !this.#makeRoom()) return false;
    this.#push(message);
    return true;
  }

  /** A message of a topic that was not taken when it was committed. */
  push(followed: Followed, record: StoredRecord): void {
    this.#push(new CommittedMessage(subjectOf(record, followed.topic.name), followed, record));
  }

  lose(count: number): void {
    this.dropped += count;
  }

  #hasRoom(besides: number): boolean {
    return (this.#buffer?.size ?? 0) + besides < this.options.bufferMax;
  }

  #push(message: LiveMessage): void {
    this.#buffer ??= new Ring();
    this.#buffer.push(message);
    if (this.#wakeTakers !== undefined && this.#wakeTakers.size > 0) this.#wakeAll();
  }

  /** A publisher that was let in has its place, even if another took it. */
  #offerOrWait(message: LiveMessage): boolean {
    if (message instanceof CommittedMessage) {
      const { followed, record } = message;
      if (this.#catchUp!.isBehind(followed)) return false;
      if (!this.hasRoom) {
        this.#catchUp!.fallBehind(followed, record.offset);
        return false;
      }
    } else if (!this.#waiters!.arrive() && !this.hasRoom) {
      this.dropped += 1;
      return false;
    }
    this.#push(message);
    return true;
  }

  /** Publishers and logs take turns, so that neither keeps the other out for ever. */
  #refill(): void {
    this.#isLogsTurn = !this.#isLogsTurn;
    if (this.#isLogsTurn) this.#catchUp!.run();
    if (this.#waiters!.size > 0) this.#waiters!.admit();
    if (!this.#isLogsTurn) this.#catchUp!.run();
  }

  #makeRoom(): boolean {
    this.dropped += 1;
    if (this.options.whenFull === "drop-newest") return false;
    if (this.options.whenFull === "drop-oldest") {
      this.#buffer!.shift();
      return true;
    }
    this.#error = new BrokerError(
      "SLOW_SUBSCRIBER",
      `The live subscription to ${this.options.pattern} was disconnected: ${this.options.bufferMax} messages waited to be taken. Take them faster, enlarge its buffer, or let it drop messages.`,
      { pattern: this.options.pattern, bufferMax: this.options.bufferMax },
    );
    this.close();
    return false;
  }

  #wakeAll(): void {
    for (const wake of [...(this.#wakeTakers ?? [])]) wake();
  }

  #arrival(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", wake);
        this.#wakeTakers?.delete(wake);
        resolve();
      };
      this.#wakeTakers ??= new Set();
      this.#wakeTakers.add(wake);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}

const FULL_POLICIES: readonly string[] = [
  "drop-newest",
  "drop-oldest",
  "disconnect",
  "wait",
] satisfies FullPolicy[];

function assertOptions({ bufferMax, whenFull, group }: LiveSubscriptionOptions): void {
  if (!(Number.isInteger(bufferMax) && bufferMax >= 1)) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The option buffer of a live subscription is ${bufferMax}; give a whole number of at least 1.`,
      { option: "buffer", value: String(bufferMax) },
    );
  }
  if (!FULL_POLICIES.includes(whenFull)) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The option whenFull of a live subscription is ${String(whenFull)}; give one of ${FULL_POLICIES.join(", ")}.`,
      { option: "whenFull", value: String(whenFull) },
    );
  }
  if (whenFull === "wait" && group !== undefined) {
    throw new BrokerError(
      "INVALID_OPTION",
      `The option whenFull of a live subscription in the group ${group} is wait; choose another, or leave the group out: a message that one member has no room for goes to the next.`,
      { option: "whenFull", value: whenFull },
    );
  }
}
