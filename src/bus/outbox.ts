// Messages that gather until they are stored together with the settlement of what they answer.

import { BrokerError } from "../broker-error.js";
import type { EngineAppended, EngineDelivery } from "../engines/engine.js";
import type { CommandType, EventType } from "./message-type.js";
import { notSupported } from "./option-checks.js";
import type { Outlet, Prepared } from "./outlet.js";
import type { ExchangeOutputs, Outputs, QueueOutputs, TopicOutputs } from "./outputs.js";
import type { AnyPublishOptions } from "./publish-options.js";
import { Receipt } from "./receipt.js";
import type { SenderHost } from "./sender-host.js";
import type { Senders } from "./senders.js";

/** Of one outbox. */
const MESSAGES_MAX = 10_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** How often to look whether a queue that makes its publishers wait has room for all that is to go there. */
const LOOK_AGAIN_MS = 20;

/** What was sent with a message type: for whoever keeps account of it. */
interface Typed {
  readonly type: EventType | CommandType;
  readonly value: unknown;
}

interface Entry extends Prepared {
  readonly typed: Typed | undefined;
}

/** What outboxes need of their bus. */
export interface OutboxHost extends SenderHost {
  readonly senders: Senders;
  /** Hears of every message with a type that was stored with others as one. */
  readonly onSent: ((type: Typed["type"], value: unknown, receipt: Receipt) => void) | undefined;
}

export class Outbox implements Outputs {
  readonly #host: OutboxHost;
  readonly #owner: string;
  /** In the order in which they were sent; undefined while one is being prepared. */
  readonly #entries: (Entry | undefined)[] = [];
  readonly #preparing: Promise<void>[] = [];
  #bodyBytes = 0;
  #isClosed = false;

  /** `owner` is what it belongs to, for errors. Errors: NOT_SUPPORTED. */
  constructor(host: OutboxHost, owner: string) {
    const { capabilities, name } = host.engine;
    if (!capabilities.transactions) throw notSupported(name, "transactions");
    this.#host = host;
    this.#owner = owner;
  }

  publish<In, Out>(event: EventType<In, Out>, value: In, options?: object): Promise<void> {
    const prepare = () =>
      this.#host.senders.event(event).prepare(value, options as AnyPublishOptions | undefined);
    return this.#take(prepare, { type: event as unknown as EventType, value });
  }

  send<In, Out>(command: CommandType<In, Out>, value: In, options?: object): Promise<void> {
    const prepare = () =>
      this.#host.senders.command(command).prepare(value, options as AnyPublishOptions | undefined);
    return this.#take(prepare, { type: command as unknown as CommandType, value });
  }

  queue(name: string): QueueOutputs {
    const { senders } = this.#host;
    const open = () => senders.queueOutlet(name);
    return {
      send: (body, options) =>
        this.#take(() => senders.queueBody(name).prepare(open, body, options), undefined),
    };
  }

  topic(name: string): TopicOutputs {
    const { senders } = this.#host;
    const open = () => senders.topicOutlet(name);
    return {
      publish: (body, options) =>
        this.#take(
          () => senders.topicBody(name, options?.subject ?? name).prepare(open, body, options),
          undefined,
        ),
    };
  }

  exchange(name: string): ExchangeOutputs {
    const { senders } = this.#host;
    return {
      publish: (subject, body, options) => {
        const open = () => senders.exchangeOutlet(name, options?.mustRoute === true);
        const prepare = async () => await senders.exchangeBody(name, subject).prepare(open, body, options);
        return this.#take(prepare, undefined);
      },
    };
  }

  /** Takes nothing more. */
  close(): void {
    this.#isClosed = true;
  }

  /** All that was sent, in that order. Errors: the first of those that a verb had. */
  async gathered(): Promise<readonly Entry[]> {
    await Promise.all(this.#preparing);
    return this.#entries as Entry[];
  }

  /** Errors: TRANSACTION_ENDED. */
  protected assertOpen(): void {
    if (this.#isClosed) throw this.#ended();
  }

  #take(prepare: () => Promise<Prepared>, typed: Typed | undefined): Promise<void> {
    if (this.#isClosed) return Promise.reject(this.#ended());
    const index = this.#entries.length;
    this.#entries.push(undefined);
    const taken = this.#prepare(index, prepare, typed);
    // It makes the whole fail, whether or not its caller looks.
    taken.catch(() => undefined);
    this.#preparing.push(taken);
    return taken;
  }

  async #prepare(index: number, prepare: () => Promise<Prepared>, typed: Typed | undefined): Promise<void> {
    if (index >= MESSAGES_MAX) throw this.#tooLarge();
    const prepared = await prepare();
    this.#bodyBytes += sizeOf(prepared.message.value);
    if (this.#bodyBytes > BODY_BYTES_MAX) throw this.#tooLarge();
    this.#entries[index] = { ...prepared, typed };
  }

  #ended(): BrokerError {
    return new BrokerError(
      "TRANSACTION_ENDED",
      `${this.#owner} has ended: what is sent as a part of it has to be sent before, and awaited. Use the bus for what is to be sent on its own.`,
    );
  }

  #tooLarge(): BrokerError {
    return new BrokerError(
      "TRANSACTION_TOO_LARGE",
      `${this.#owner} may send ${MESSAGES_MAX} messages with ${BODY_BYTES_MAX} bytes as one. Split the work, or send references to the content.`,
      { messagesMax: MESSAGES_MAX, bytesMax: BODY_BYTES_MAX },
    );
  }
}

/**
 * Hands over what gathered and acknowledges `deliveries`, as one; waits before that for queues that make their publishers
 * wait. Resolves when it is on its way, and `committed` when it is stored. Errors, with nothing done: those of the
 * outboxes, LEASE_LOST, QUEUE_FULL, MESSAGE_TOO_LARGE, the signal's reason, CLOSED.
 */
export async function handOver(
  host: OutboxHost,
  outboxes: readonly Outbox[],
  deliveries: readonly EngineDelivery[],
  signal: () => AbortSignal | undefined,
): Promise<{ readonly committed: Promise<void> }> {
  const entries = (await Promise.all(outboxes.map((outbox) => outbox.gathered()))).flat();
  const unit = new Unit(host, entries, deliveries);
  for (;;) {
    host.assertOpen();
    const committed = unit.tryCommit();
    if (committed !== undefined) return { committed };
    await unit.room(signal());
  }
}

/** A queue that makes its publishers wait has no room: nothing is taken, and it is tried again. */
class NoRoom extends Error {
  readonly outlet: Outlet;

  constructor(outlet: Outlet) {
    super("no room");
    this.outlet = outlet;
  }
}

/** One attempt after the other to hand over the same things. */
class Unit {
  readonly #host: OutboxHost;
  readonly #entries: readonly Entry[];
  readonly #deliveries: readonly EngineDelivery[];
  /** The queue that had no room in the last attempt. */
  #full: Outlet | undefined = undefined;
  /** The queue that was waited for before this attempt: one message has its place there. */
  #entered: Outlet | undefined = undefined;

  constructor(host: OutboxHost, entries: readonly Entry[], deliveries: readonly EngineDelivery[]) {
    this.#host = host;
    this.#entries = entries;
    this.#deliveries = deliveries;
  }

  /** Undefined when a queue that makes its publishers wait has no room; nothing was done then. */
  tryCommit(): Promise<void> | undefined {
    let appended: EngineAppended[] = [];
    let entered = this.#entered;
    const append = (): EngineAppended[] => {
      appended = this.#entries.map(({ outlet, message }) => {
        if (outlet === entered) entered = undefined;
        else if (outlet.mustWait) throw new NoRoom(outlet);
        return outlet.append(message);
      });
      return appended;
    };
    try {
      const committed = this.#host.engine.broker.commit(this.#deliveries, append);
      return this.#host.onSent === undefined ? committed : committed.then(() => this.#tell(appended));
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error;
      this.#full = error.outlet;
      return undefined;
    }
  }

  /** Resolves when it is worth trying again, which has to be done at once. Errors: the signal's reason, CLOSED. */
  async room(signal: AbortSignal | undefined): Promise<void> {
    const full = this.#full!;
    // There was room, and not for all that goes there: others must get their turn before the next attempt.
    if (this.#entered === full) await this.#pause();
    signal?.throwIfAborted();
    await full.waitForRoom(signal);
    this.#entered = full;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#host.engine.clock.setTimer(resolve, LOOK_AGAIN_MS);
    });
  }

  #tell(appended: readonly EngineAppended[]): void {
    for (const [index, { typed, message, id }] of this.#entries.entries()) {
      if (typed !== undefined)
        this.#host.onSent?.(typed.type, typed.value, new Receipt(appended[index]!, message.timestampMs, id));
    }
  }
}

function sizeOf(body: string | Uint8Array | null): number {
  if (body === null) return 0;
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}
