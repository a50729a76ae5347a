// A queue as applications hold it: bodies in, deliveries out, no message types.

import type { QueueOptions as BrokerQueueOptions, OverflowPolicy } from "../broker/limits.js";
import type { QueueStatistics } from "../broker/statistics.js";
import type { Capabilities, EngineQueue } from "../engines/engine.js";
import { BodySender } from "./body-sender.js";
import type { BusCore } from "./bus-core.js";
import type { Delivery } from "./delivery.js";
import { type Duration, toMs } from "./duration.js";
import { type AnyPublishOptions, MessageMaker, type PublishOptions } from "./publish-options.js";
import { Puller, type ReceiveBatchOptions, type ReceiveOptions } from "./puller.js";
import type { Receipt } from "./receipt.js";
import { StoredMessage } from "./stored-message.js";

/** What a queue is declared with. What is left out is what it was declared with before, else its default. */
export interface QueueOptions {
  /** Bytes of one body, at most; up to 64 MiB. @default 1 MiB */
  readonly messageBytesMax?: number;
  /** Unsettled messages, at most. @default no limit */
  readonly countMax?: number;
  /** Body bytes of unsettled messages, at most. @default 10 GiB */
  readonly bytesMax?: number;
  /** Older messages that wait expire, and become dead letters, within a minute. @default no limit */
  readonly ageMax?: Duration;
  /** Messages in flight over all consumers, at most. @default 10,000 */
  readonly inFlightMax?: number;
  /** What happens to the message that is one too many. @default "reject" */
  readonly overflow?: OverflowPolicy;
  /** A message handed out this often without success is dead-lettered, unless its handler's retry policy says otherwise. @default 5 */
  readonly attemptsMax?: number;
  /** Whether messages that cannot be handled are kept as dead letters. @default true */
  readonly deadLetter?: boolean;
  /** @default what the engine was opened with: "synced" */
  readonly durability?: "synced" | "written" | "memory";
  /** Subject patterns: events published with a matching subject come here too. `*` is one level, `#` any number, a last `>` one or more. */
  readonly bind?: readonly string[];
}

/**
 * A queue of bodies. Each verb makes the queue with the options it was asked for, or finds it: QUEUE_MISMATCH when it was
 * made with others.
 *
 * @example
 * const jobs = bus.queue("jobs", { countMax: 10_000, overflow: "wait" });
 * await jobs.send("one");
 * for await (const delivery of jobs.receive({ prefetch: 10 })) {
 *   console.log(delivery.message.text());
 *   await delivery.ack();
 * }
 */
export class Queue<C extends Capabilities = Capabilities> {
  readonly name: string;
  readonly #core: BusCore;
  readonly #options: QueueOptions;
  readonly #sender: BodySender;
  readonly #puller: Puller;
  #declared: Promise<EngineQueue> | undefined = undefined;

  constructor(core: BusCore, name: string, options: QueueOptions) {
    this.name = name;
    this.#core = core;
    this.#options = options;
    this.#sender = new BodySender(name, new MessageMaker(name, false, undefined), core.engine.clock);
    this.#puller = new Puller(async () => (await this.#queue()).source, name, core);
  }

  /** Makes the queue, durably, or finds it; every other verb does so by itself. Errors: INVALID_NAME, INVALID_OPTION, QUEUE_MISMATCH. */
  async declare(): Promise<this> {
    await this.#queue();
    return this;
  }

  /** Resolves when the message is durable. Errors: MESSAGE_TOO_LARGE, QUEUE_FULL, INVALID_OPTION, INVALID_PAYLOAD, those of storage. */
  async send(body: string | Uint8Array, options?: PublishOptions<C>): Promise<Receipt> {
    const [receipt] = await this.sendMany([body], options);
    return receipt!;
  }

  /**
   * Hands all over in one go, so that they share a commit. When it rejects, some may be stored. Errors: those of
   * {@link Queue.send}.
   */
  async sendMany(bodies: readonly (string | Uint8Array)[], options?: PublishOptions<C>): Promise<Receipt[]> {
    return await this.#sender.sendMany(await this.#queue(), bodies, options as AnyPublishOptions | undefined);
  }

  /**
   * Messages as they come, to be settled by hand. Ends with the signal, `break`, or the bus; what is not settled then
   * goes back. Errors: INVALID_OPTION, LOG_CORRUPT.
   */
  receive(options: ReceiveOptions = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.#puller.receive(options);
  }

  /**
   * Up to `max` messages, to be settled by hand: those that are there, else the first that come within `wait`. Errors:
   * INVALID_OPTION, the reason of the signal.
   */
  receiveBatch(options: ReceiveBatchOptions): Promise<Delivery[]> {
    return this.#puller.receiveBatch(options);
  }

  /** Messages that are not settled, oldest first, without taking them. */
  async *browse(options: { readonly limit?: number } = {}): AsyncGenerator<StoredMessage, void, undefined> {
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    for await (const record of (await this.#queue()).browse()) {
      yield new StoredMessage(record, this.name, undefined);
      left -= 1;
      if (left <= 0) return;
    }
  }

  /** Removes everything that is not in flight. Returns how many messages that were. */
  async purge(): Promise<number> {
    return (await this.#queue()).purge();
  }

  /** The queue's numbers. Counters begin at 0 when the bus is opened. */
  async statistics(): Promise<QueueStatistics> {
    await this.#queue();
    return this.#core.engine.broker.statistics().queues.find(({ name }) => name === this.name)!;
  }

  #queue(): Promise<EngineQueue> {
    this.#core.assertOpen();
    this.#declared ??= this.#declare().catch((error: unknown) => {
      this.#declared = undefined;
      throw error;
    });
    return this.#declared;
  }

  async #declare(): Promise<EngineQueue> {
    const { broker } = this.#core.engine;
    const queue = await broker.declareQueue(this.name, brokerOptions(this.#options));
    for (const pattern of this.#options.bind ?? []) await broker.bind(pattern, "queue", this.name);
    return queue;
  }
}

function brokerOptions(options: QueueOptions): Partial<BrokerQueueOptions> {
  const { ageMax, bind: _, ...rest } = options;
  return ageMax === undefined ? rest : { ...rest, ageMaxMs: toMs("ageMax", ageMax) };
}
