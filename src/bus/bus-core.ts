// What the parts of one bus share: its engine, its handlers, how far its life has gone, and where errors go that
// nobody waits for.

import { BrokerError } from "../broker-error.js";
import type { Capabilities, Engine, EngineSession } from "../engines/engine.js";
import type { Timer } from "../io/io.js";
import type { BusCodecs } from "./decoding.js";
import { Handlers } from "./handlers.js";
import { MiddlewareChain } from "./middleware.js";
import { Opening } from "./opening.js";
import { notSupported } from "./option-checks.js";
import type { OutboxHost } from "./outbox.js";
import type { Reporter } from "./reporter.js";
import { Senders } from "./senders.js";

/** A timer this long does nothing but keep the process alive; it is set again when it has run. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

/** What holds messages that are not handed over yet. */
interface Attached {
  /** Whether it is handing something over now. */
  readonly isBusy: boolean;
  flush(): Promise<void>;
  /** The bus is closed: what was not handed over never will be. */
  end(reason: unknown): void;
}

export class BusCore {
  readonly engine: Engine;
  readonly onError: Reporter;
  readonly codecs: BusCodecs;
  readonly handlers: Handlers;
  /** Hears of every message with a type that was stored with others as one. */
  onSent: OutboxHost["onSent"] = undefined;
  readonly middleware = new MiddlewareChain();
  readonly opening = new Opening();
  readonly senders = new Senders(this);
  readonly #closers = new Set<() => void>();
  readonly #attached = new Set<Attached>();
  readonly #declaring = new Set<Promise<unknown>>();
  /** Whose the exclusive queues of this bus are. */
  readonly session: EngineSession;
  #life: "open" | "closing" | "closed" = "open";
  #waiting = 0;
  #keepAlive: Timer | undefined = undefined;

  constructor(engine: Engine, onError: Reporter, codecs: BusCodecs) {
    this.engine = engine;
    this.onError = onError;
    this.codecs = codecs;
    this.handlers = new Handlers(this);
    this.session = engine.broker.openSession(`of a bus on the ${engine.name} engine`);
  }

  /** For what hands something over: handlers that still run may do so until they have ended. Errors: CLOSED. */
  assertOpen(): void {
    if (this.#life === "closed") throw closed();
  }

  /** For what begins to receive. Errors: CLOSED as soon as the bus closes, READ_ONLY. */
  assertReceiving(): void {
    if (this.#life !== "open") throw closed();
    this.assertWritable();
  }

  /** Errors: READ_ONLY. */
  assertWritable(): void {
    if (this.engine.isReadOnly)
      throw new BrokerError(
        "READ_ONLY",
        "This bus was opened for looking only: nothing can be sent, received or removed on it. Do so in the process that has the data directory open, or open it without readOnly.",
      );
  }

  /** Errors: NOT_SUPPORTED, naming `what` was asked for. */
  assertSupports(capability: keyof Capabilities, what: string): void {
    if (!this.engine.capabilities[capability]) throw notSupported(this.engine.name, what);
  }

  /** Notes that something is being declared, which somebody needs to hand a message over. */
  declaring<T>(declaration: Promise<T>): Promise<T> {
    const noted = declaration.finally(() => this.#declaring.delete(noted));
    this.#declaring.add(noted);
    return noted;
  }

  /** Resolves when what was being declared is there, and who waited for it has handed over. */
  async declared(): Promise<void> {
    if (this.#declaring.size === 0) return;
    await Promise.allSettled(this.#declaring);
    await new Promise<void>((resolve) => this.engine.clock.defer(resolve));
  }

  /** `close` runs once, when the bus begins to close or at once if it has, unless what is returned was called before. */
  onClose(close: () => void): () => void {
    if (this.#life !== "open") {
      close();
      return () => undefined;
    }
    const own = () => close();
    this.#closers.add(own);
    return () => {
      this.#closers.delete(own);
    };
  }

  /** Takes part in the end of the bus, until what is returned is called. */
  attach(part: Attached): () => void {
    this.#attached.add(part);
    return () => {
      this.#attached.delete(part);
    };
  }

  /** Whether something is being declared or handed over. */
  get isBusy(): boolean {
    if (this.handlers.starting !== undefined) return true;
    for (const { isBusy } of this.#attached) if (isBusy) return true;
    return false;
  }

  /** Resolves when all that waits to be handed over has its answer. */
  async flush(): Promise<void> {
    await Promise.all([...this.#attached].map((part) => part.flush()));
  }

  /** Nothing begins to receive any more. */
  beginClose(): void {
    this.#life = "closing";
    for (const close of this.#closers) close();
    this.#closers.clear();
  }

  endClose(): void {
    this.#life = "closed";
    for (const part of this.#attached) part.end(closed());
    this.#attached.clear();
  }

  /** Somebody waits for messages: the process stays alive until what is returned is called, once. */
  keepAlive(): () => void {
    this.#waiting += 1;
    if (this.#keepAlive === undefined) this.#stayAlive();
    return () => {
      this.#waiting -= 1;
      if (this.#waiting > 0) return;
      this.#keepAlive?.cancel();
      this.#keepAlive = undefined;
    };
  }

  #stayAlive(): void {
    this.#keepAlive = this.engine.clock.setTimer(() => this.#stayAlive(), KEEP_ALIVE_MS);
  }
}

function closed(): BrokerError {
  return new BrokerError("CLOSED", "This bus is closed. Open another with openBus().");
}
