// The handlers of a history: which there are, and with which options.

import type { Batch, BatchContext, Bus, EmbeddedCapabilities, Handler, Handling } from "../../src/index.js";
import type { SeededRandom } from "../support/seeded-random.js";
import { ATTEMPTS_AT_THE_END, BusCalls, type CallsOwner, Fatal, JITTER, Useless } from "./bus-calls.js";
import { Ask, BILLING, type Body, Held, MAIL, Placed, Result, Tick, Work } from "./bus-messages.js";

/** For how long ids are remembered: longer than any history. */
export const ONCE = { window: "30d" } as const;
const COMMANDS = [Work, Ask, Result, Held];

interface Settings {
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly leaseMs: number;
  /** 0 for single messages. */
  readonly batchMax: number;
  readonly waitMs: number;
}

interface Registered {
  readonly place: string;
  readonly settings: Settings;
  readonly handling: Handling;
}

export class BusHandlers {
  readonly #owner: CallsOwner;
  #registered: Registered[] = [];

  constructor(owner: CallsOwner) {
    this.#owner = owner;
  }

  /** Registers a handler for each place that has none, or leaves it out; all of them with `isComplete`. */
  register(bus: Bus<EmbeddedCapabilities>, isComplete: boolean): Promise<unknown> {
    const { random } = this.#owner;
    const added: Registered[] = [];
    for (const place of [BILLING, MAIL, ...COMMANDS.map(({ queue }) => queue)]) {
      if (this.#registered.some((one) => one.place === place)) continue;
      if (place === Held.queue && !this.#owner.isDraining) continue;
      if (isComplete || random.chance(0.85)) {
        const settings = this.#settings(random);
        added.push({ place, settings, handling: this.#register(bus, place, settings) });
      }
    }
    this.#registered.push(...added);
    if (!this.#registered.some(({ place }) => place === Tick.queue))
      this.#registered.push(this.#countTicks(bus));
    this.#owner.trace(
      `    ${added.map(({ place, settings }) => `${place} ${JSON.stringify(settings)}`).join(", ")}`,
    );
    return Promise.all(added.map(({ handling }) => handling.ready));
  }

  /** Closes some. */
  async closeSome(): Promise<void> {
    const closing = this.#registered.filter(() => this.#owner.random.chance(0.5));
    this.#registered = this.#registered.filter((one) => !closing.includes(one));
    await Promise.all(closing.map(({ handling }) => handling.close()));
  }

  /** They are drained, closed, or gone with their process. */
  forget(): void {
    this.#registered = [];
  }

  #settings(random: SeededRandom): Settings {
    return {
      concurrency: 1 + random.below(4),
      timeoutMs: random.pick([1_000, 3_000]),
      leaseMs: random.pick([500, 2_000, 30_000]),
      batchMax: random.chance(0.3) ? 1 + random.below(5) : 0,
      waitMs: random.pick([0, 0, 50]),
    };
  }

  #register(bus: Bus<EmbeddedCapabilities>, place: string, settings: Settings): Handling {
    const { isByKey, keepsTurn, attempts, immediate, retryMs, isOnce } = this.#owner.plan;
    const { concurrency, timeoutMs: timeout, leaseMs: lease, batchMax, waitMs } = settings;
    const errors = [
      { error: Fatal, use: "dead-letter" },
      { error: Useless, use: "drop" },
    ] as const;
    const options = {
      concurrency,
      timeout,
      lease,
      orderBy: isByKey && place !== Held.queue ? "key" : "none",
      onRetry: keepsTurn ? "block" : "park",
      retry: {
        attempts: this.#owner.isDraining ? ATTEMPTS_AT_THE_END : attempts,
        immediate,
        delay: retryMs,
        jitter: JITTER,
        errors,
      },
    } as const;
    const messagesMax = concurrency * Math.max(1, batchMax);
    const calls = new BusCalls(this.#owner, place, { timeoutMs: timeout, messagesMax });
    // Some answer with what no handler may.
    const single = ((body, context) => calls.one(body, context)) as Handler<
      Body,
      EmbeddedCapabilities,
      number
    >;
    const several = (batch: Batch<Body>, context: BatchContext<EmbeddedCapabilities>) =>
      calls.several(batch, context);
    const batched = { ...options, batch: { max: batchMax, wait: waitMs } };
    const command = COMMANDS.find(({ queue }) => queue === place);
    if (command !== undefined)
      return batchMax === 0 ? bus.handle(command, options, single) : bus.handle(command, batched, several);
    const group = place.slice(place.indexOf("/") + 1);
    const grouped = isOnce ? { group, inbox: ONCE } : { group };
    return batchMax === 0
      ? bus.on(Placed, { ...options, ...grouped }, single)
      : bus.on(Placed, { ...batched, ...grouped }, several);
  }

  #countTicks(bus: Bus<EmbeddedCapabilities>): Registered {
    const handling = bus.handle(Tick, (_, { message }) => this.#owner.ticked(message.id, message.offset));
    const settings = { concurrency: 1, timeoutMs: 0, leaseMs: 0, batchMax: 0, waitMs: 0 };
    return { place: Tick.queue, settings, handling };
  }
}
