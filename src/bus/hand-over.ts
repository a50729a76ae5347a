// How a producer hands messages over: gathered into batches, no faster than its rate limit, in the order in which they
// came, following each commit to its end.

import type { OutgoingMessage } from "../broker/message.js";
import { Ring } from "../collections/ring.js";
import { DueTimer } from "../io/due-timer.js";
import type { BusCore } from "./bus-core.js";
import type { Outlet } from "./outlet.js";
import type { PendingMessage } from "./pending-message.js";
import type { ProducerSettings } from "./producer-settings.js";
import type { ProducerTarget } from "./producer-target.js";
import type { AnyPublishOptions } from "./publish-options.js";

/** Messages that reach their durability level in one commit. */
interface Commit {
  readonly committed: Promise<void>;
  readonly messages: PendingMessage[];
}

/** Hears how messages end. */
export interface AnswerListener {
  succeed(pending: PendingMessage): void;
  fail(pending: PendingMessage, error: unknown): void;
}

export class HandOver {
  readonly #core: BusCore;
  readonly #open: ProducerTarget<unknown>["open"];
  readonly #settings: ProducerSettings;
  readonly #listener: AnswerListener;
  /** Ready to be handed over. */
  readonly #gathered = new Ring<PendingMessage>();
  /** When they are to be. */
  readonly #due: DueTimer;
  #isRunning = false;
  #isWaitingForRoom = false;

  /** `open` makes or finds what the messages go to. */
  constructor(
    core: BusCore,
    open: ProducerTarget<unknown>["open"],
    settings: ProducerSettings,
    listener: AnswerListener,
  ) {
    this.#core = core;
    this.#open = open;
    this.#settings = settings;
    this.#listener = listener;
    this.#due = new DueTimer(core.engine.clock, () => this.soon());
  }

  /** Whether messages are being handed over now. */
  get isBusy(): boolean {
    return this.#isRunning && !this.#isWaitingForRoom;
  }

  /** Hot: the message is handed over when the batch is full, or its time to linger is over. */
  gather(pending: PendingMessage, message: OutgoingMessage): void {
    pending.message = message;
    this.#gathered.push(pending);
    const { batchMax, lingerMs } = this.#settings;
    if (lingerMs === 0 || this.#gathered.size >= batchMax) this.soon();
    else this.#due.armAt(this.#core.engine.clock.monotonicMs() + lingerMs);
  }

  /** Hands over what there is, with what comes until the end of the turn. */
  soon(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#due.cancel();
    void this.#run();
  }

  /** Nothing is handed over any more. */
  stop(): void {
    this.#due.cancel();
    this.#gathered.clear();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      await this.#handOver();
    } catch (error) {
      this.#failGathered(() => true, error);
      this.#isRunning = false;
    }
  }

  /**
   * Ends when nothing is left, or the rate limit says so, and no longer runs from that moment on: what is gathered before
   * its promise is settled begins anew. Errors: CLOSED.
   */
  async #handOver(): Promise<void> {
    const { clock } = this.#core.engine;
    for (let next = this.#nextGathered(); next !== undefined; next = this.#nextGathered()) {
      const readyMs = this.#settings.rateLimit?.nextMs ?? 0;
      if (readyMs > clock.monotonicMs()) {
        this.#due.armAt(readyMs);
        break;
      }
      const { routing } = next;
      const outlet = await this.#outlet(routing);
      if (outlet === undefined || (outlet.mustWait && !(await this.#hasRoom(outlet)))) continue;
      this.#core.assertOpen();
      this.#handOverBatch(outlet, routing);
      if (this.#gathered.size > 0) await new Promise<void>((resolve) => clock.defer(resolve));
    }
    this.#isRunning = false;
  }

  /** Undefined when there is none: those that were to go there next hear why. */
  async #outlet(routing: AnyPublishOptions | undefined): Promise<Outlet | undefined> {
    try {
      return await this.#open(routing);
    } catch (error) {
      this.#failGathered((pending) => pending.routing === routing, error);
      return undefined;
    }
  }

  /** Resolves when there is room. When there will be none, the first of those that wait hears why. */
  async #hasRoom(outlet: Outlet): Promise<boolean> {
    this.#isWaitingForRoom = true;
    try {
      await outlet.waitForRoom();
      return true;
    } catch (error) {
      const first = this.#nextGathered();
      if (first !== undefined) this.#listener.fail(first, error);
      return false;
    } finally {
      this.#isWaitingForRoom = false;
    }
  }

  /** Hot: one promise is followed for all messages of a commit. Those that go elsewhere wait. */
  #handOverBatch(outlet: Outlet, routing: AnyPublishOptions | undefined): void {
    const { batchMax, rateLimit } = this.#settings;
    const nowMs = this.#core.engine.clock.monotonicMs();
    let commit: Commit | undefined;
    for (let left = batchMax; left > 0; left -= 1) {
      const pending = this.#nextGathered();
      if (pending === undefined || pending.routing !== routing) return;
      if (rateLimit !== undefined && rateLimit.nextMs > nowMs) return;
      this.#gathered.shift();
      const message = pending.message!;
      rateLimit?.take(nowMs, bodyBytes(message));
      try {
        pending.appended = outlet.append(message);
      } catch (error) {
        this.#listener.fail(pending, error);
        continue;
      }
      const { committed } = pending.appended;
      if (commit?.committed === committed) commit.messages.push(pending);
      else commit = this.#follow(committed, pending);
      if (outlet.mustWait) return;
    }
  }

  #follow(committed: Promise<void>, first: PendingMessage): Commit {
    const commit: Commit = { committed, messages: [first] };
    committed.then(
      () => {
        for (const pending of commit.messages) this.#listener.succeed(pending);
      },
      (error: unknown) => {
        for (const pending of commit.messages) this.#listener.fail(pending, error);
      },
    );
    return commit;
  }

  /** Messages that were answered before their turn came are passed over. */
  #nextGathered(): PendingMessage | undefined {
    let first = this.#gathered.peek();
    while (first?.isAnswered) {
      this.#gathered.shift();
      first = this.#gathered.peek();
    }
    return first;
  }

  /** As many from the first on as fit. */
  #failGathered(isMeant: (pending: PendingMessage) => boolean, error: unknown): void {
    for (let next = this.#nextGathered(); next !== undefined && isMeant(next); next = this.#nextGathered()) {
      this.#gathered.shift();
      this.#listener.fail(next, error);
    }
  }
}

function bodyBytes({ value }: OutgoingMessage): number {
  return typeof value === "string" ? Buffer.byteLength(value) : (value?.length ?? 0);
}
