// A queue as applications hold it: bodies in, deliveries out, no message types.

import type { QueueOptions as BrokerQueueOptions, OverflowPolicy } from "../broker/limits.js";
import type { QueueStatistics } from "../broker/statistics.js";
import type { Capabilities, EngineQueue } from "../engines/engine.js";
import { type BindingSource, bindSources, checkedSources } from "./binding.js";
import { BodySender } from "./body-sender.js";
import { type BrowseOptions, browse } from "./browse.js";
import type { BusCore } from "./bus-core.js";
import { consume } from "./consume.js";
import {
  type AnyQueueSharing,
  QUEUE_SHARING_OPTIONS,
  type QueueSharing,
  sharingOf,
} from "./consumer-options.js";
import { type DeadLetterToOptions, deadLetterTarget } from "./dead-letter-to.js";
import type { Delivery } from "./delivery.js";
import { type Duration, toMs } from "./duration.js";
import { type ForwardTarget, forwardTo } from "./forward.js";
import type { BatchHandler, BatchOptions, Handler, HandlerOptions, Handling } from "./handler.js";
import { knownOptions } from "./option-checks.js";
import { type Outlet, QueueOutlet } from "./outlet.js";
import { Producer } from "./producer.js";
import { type ProducerOptions, ProducerSettings } from "./producer-settings.js";
import type { AnyPublishOptions, BodyOptions } from "./publish-options.js";
import { Puller, type ReceiveBatchOptions, type ReceiveOptions } from "./puller.js";
import type { Receipt } from "./receipt.js";
import {
  type DeduplicationOptions,
  deduplicationOptions,
  type InboxOptions,
  inboxOptions,
} from "./remembering.js";
import type { StoredMessage } from "./stored-message.js";
import type { IfSupported } from "./supported.js";

interface PriorityOptions {
  /**
   * Levels of priority, 1 to 32: a message sent with a higher `priority` is handed out first. Within a level they keep
   * their order. Cannot be changed. @default 1
   */
  readonly priorities?: number;
}

interface TemporaryOptions {
  /**
   * The queue is deleted, with what is in it, when nobody received from it and nobody declared it for so long. Sending is
   * no use. After a restart the time begins anew. @default never
   */
  readonly expiresAfter?: Duration;
  /** The queue is for this bus alone, and deleted when that closes or its process ends. @default false */
  readonly exclusive?: boolean;
  /** The queue is deleted when its last handler or receiver has left; `receiveBatch` does not count. @default false */
  readonly autoDelete?: boolean;
}

/** When a queue is not deleted. */
export interface DeleteOptions {
  /** QUEUE_NOT_EMPTY when it holds messages. @default false */
  readonly ifEmpty?: boolean;
  /** QUEUE_IN_USE when it has handlers or receivers. @default false */
  readonly ifUnused?: boolean;
}

/**
 * What a queue is declared with. What is left out is what it was declared with before, else its default. Only `bind`
 * can be added to.
 */
interface BasicQueueOptions {
  /** Bytes of one body, at most; up to 64 MiB. @default 1 MiB */
  readonly messageBytesMax?: number;
  /** Unsettled messages, at most. @default no limit */
  readonly countMax?: number;
  /** Body bytes of unsettled messages, at most. @default 10 GiB */
  readonly bytesMax?: number;
  /** Older messages that wait expire, and become dead letters, within about a second. @default no limit */
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
  /**
   * Subject patterns: events published with a matching subject come here too. `*` is one level, `#` any number, a last
   * `>` one or more. Or bindings: what an exchange leads here.
   */
  readonly bind?: readonly (string | BindingSource)[];
}

export type QueueOptions<C extends Capabilities = Capabilities> = BasicQueueOptions &
  IfSupported<C["priorities"], PriorityOptions> &
  IfSupported<C["deduplication"], DeduplicationOptions & InboxOptions> &
  IfSupported<C["temporaryQueues"], TemporaryOptions> &
  IfSupported<C["exchanges"], DeadLetterToOptions> &
  QueueSharing<C>;

type AnyQueueOptions = BasicQueueOptions &
  PriorityOptions &
  DeduplicationOptions &
  InboxOptions &
  TemporaryOptions &
  DeadLetterToOptions &
  AnyQueueSharing;

const TEMPORARY_OPTIONS = ["expiresAfter", "exclusive", "autoDelete"] as const;

const QUEUE_OPTIONS = [
  "messageBytesMax",
  "countMax",
  "bytesMax",
  "ageMax",
  "inFlightMax",
  "overflow",
  "attemptsMax",
  "deadLetter",
  "deadLetterTo",
  "durability",
  "deduplicate",
  "inbox",
  "priorities",
  ...QUEUE_SHARING_OPTIONS,
  ...TEMPORARY_OPTIONS,
  "bind",
];

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
  readonly kind = "queue";
  readonly name: string;
  readonly #core: BusCore;
  readonly #options: AnyQueueOptions;
  readonly #sender: BodySender;
  readonly #puller: Puller;
  #declared: Promise<EngineQueue> | undefined = undefined;
  #known: EngineQueue | undefined = undefined;
  #outlet: Outlet | undefined = undefined;

  /** Made by {@link Bus.queue}. */
  constructor(core: BusCore, name: string, options: QueueOptions<C>) {
    this.name = name;
    this.#core = core;
    this.#options = knownOptions<AnyQueueOptions>(`queue ${name}`, options as AnyQueueOptions, QUEUE_OPTIONS);
    if (this.#options.priorities !== undefined) core.assertSupports("priorities", "priorities");
    sharingOf(this.#options, core);
    if (this.#options.deduplicate !== undefined || this.#options.inbox !== undefined)
      core.assertSupports("deduplication", "finding duplicates");
    if (this.#options.deadLetterTo !== undefined)
      core.assertSupports("exchanges", "sending dead letters elsewhere");
    if (TEMPORARY_OPTIONS.some((option) => this.#options[option] !== undefined))
      core.assertSupports("temporaryQueues", "queues that go by themselves");
    this.#sender = new BodySender(core, "queue", name, name);
    this.#puller = new Puller(core, async () => (await this.#queue()).source, name);
  }

  /** Makes the queue, durably, or finds it; every other verb does so by itself. Errors: INVALID_NAME, INVALID_OPTION, INVALID_SUBJECT, QUEUE_MISMATCH. */
  async declare(): Promise<this> {
    this.#core.assertOpen();
    this.#known = await this.#core.declaring(this.#declare());
    return this;
  }

  /** Resolves when the message is durable; bytes may not be changed until then. Errors: MESSAGE_TOO_LARGE, QUEUE_FULL, INVALID_OPTION, INVALID_PAYLOAD, those of storage. */
  send(body: string | Uint8Array, options?: BodyOptions<C>): Promise<Receipt> {
    const ready = this.#outlet?.isGone === false ? this.#outlet : undefined;
    return this.#sender.send(this.#open, body, options as AnyPublishOptions | undefined, ready);
  }

  /**
   * Hands all over in one go, so that they share a commit: all are taken or none, unless the queue makes its publishers
   * wait. Errors: those of {@link Queue.send}.
   */
  async sendMany(bodies: readonly (string | Uint8Array)[], options?: BodyOptions<C>): Promise<Receipt[]> {
    return await this.#sender.sendMany(this.#open, bodies, options as AnyPublishOptions | undefined);
  }

  /** Sends many bodies, more than one at a time: see {@link Bus.producer}. Errors: INVALID_OPTION. */
  producer(options: ProducerOptions = {}): Producer<string | Uint8Array, BodyOptions<C>> {
    const settings = new ProducerSettings(this.name, options);
    return new Producer(this.#core, this.#sender.target(this.#open), settings);
  }

  /**
   * Messages as they come, to be settled by hand. Ends with the signal, `break`, or the bus; what is not settled then
   * goes back. Errors: INVALID_OPTION, LOG_CORRUPT.
   */
  receive(options: ReceiveOptions<C> = {} as ReceiveOptions<C>): AsyncGenerator<Delivery, void, undefined> {
    return this.#puller.receive(options);
  }

  /**
   * Up to `max` messages, to be settled by hand: those that are there, else the first that come within `wait`. Errors:
   * INVALID_OPTION, the reason of the signal.
   */
  receiveBatch(options: ReceiveBatchOptions): Promise<Delivery[]> {
    return this.#puller.receiveBatch(options);
  }

  /**
   * Handles every message of the queue, whatever its type, as it is stored. Returning is success; throwing is failure,
   * and the retry policy decides. Errors: INVALID_OPTION, DUPLICATE_HANDLER.
   *
   * @example
   * bus.queue("jobs").consume({ concurrency: 4 }, (message, ctx) => console.log(message.text(), ctx.attempt));
   */
  consume(handler: Handler<StoredMessage, C>): Handling;
  consume(
    options: HandlerOptions<C> & { readonly batch?: never },
    handler: Handler<StoredMessage, C>,
  ): Handling;
  consume(
    options: HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<StoredMessage, C>,
  ): Handling;
  consume(...given: unknown[]): Handling {
    const { name } = this;
    const declare = async () => (await this.#queue()).source;
    return consume(this.#core, { kind: "queue", name, source: name, declare }, given);
  }

  /** Messages that are not settled, oldest first, without taking them. Errors: INVALID_OPTION, LOG_CORRUPT. */
  browse(options: BrowseOptions = {}): AsyncGenerator<StoredMessage, void, undefined> {
    return browse(this.#core, this.name, async (isAll) => (await this.#queue()).browse(isAll), options);
  }

  /**
   * Moves every message of the queue on from now on, those that wait first, and after a restart too: each leaves the queue
   * and reaches all that it leads to in one atomic step. What leads nowhere becomes a dead letter. While what it leads to
   * is full, messages wait here. Errors: NOT_SUPPORTED, INVALID_OPTION, INVALID_SUBJECT, EXCHANGE_NOT_FOUND,
   * FORWARD_MISMATCH when it is forwarded elsewhere.
   *
   * @example
   * await bus.queue("inbox").forwardTo({ event: OrderPlaced });
   */
  async forwardTo(target: IfSupported<C["forwards"], ForwardTarget>): Promise<this> {
    this.#core.assertSupports("forwards", "forwarding");
    this.#core.assertWritable();
    await this.#queue();
    await forwardTo(this.#core, this.name, target as ForwardTarget);
    return this;
  }

  /** Messages stay in the queue from now on. Nothing happens when it is not forwarded. */
  async stopForwarding(): Promise<this> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    await this.#core.engine.broker.removeForward(this.name);
    return this;
  }

  /** Removes everything that is not in flight. Returns how many messages that were. */
  async purge(): Promise<number> {
    this.#core.assertWritable();
    return (await this.#queue()).purge();
  }

  /**
   * Hands nothing out any more, also after a restart, until it is resumed; sending goes on. What handlers have stays with
   * them. Errors: NOT_SUPPORTED, QUEUE_EXCLUSIVE, those of storage.
   */
  async pause(): Promise<void> {
    await this.#pausable();
    await this.#core.engine.broker.pauseQueue(this.name, this.#core.session);
  }

  async resume(): Promise<void> {
    await this.#pausable();
    await this.#core.engine.broker.resumeQueue(this.name, this.#core.session);
  }

  /**
   * Deletes the queue with what is in it and what is bound to it; its dead letters stay. Its handlers and receivers end.
   * Returns whether it was there. Errors: QUEUE_NOT_EMPTY, QUEUE_IN_USE, QUEUE_EXCLUSIVE, those of storage; then it stays.
   */
  async delete(options: DeleteOptions = {}): Promise<boolean> {
    const conditions = knownOptions("delete", options, ["ifEmpty", "ifUnused"]);
    this.#core.assertOpen();
    this.#core.assertWritable();
    return await this.#core.engine.broker.deleteQueue(this.name, conditions, this.#core.session);
  }

  /** The queue's numbers. Counters begin at 0 when the bus is opened. */
  async statistics(): Promise<QueueStatistics> {
    await this.#queue();
    return this.#core.engine.broker.statistics().queues.find(({ name }) => name === this.name)!;
  }

  readonly #open = async (): Promise<Outlet> => {
    const queue = await this.#queue();
    if (this.#outlet === undefined || this.#outlet.isGone)
      this.#outlet = new QueueOutlet(this.#core.engine.broker, queue);
    return this.#outlet;
  };

  async #queue(): Promise<EngineQueue> {
    this.#core.assertOpen();
    if (this.#known?.isDeleted === true) this.#declared = undefined;
    this.#declared ??= this.#core.declaring(this.#declare()).catch((error: unknown) => {
      this.#declared = undefined;
      throw error;
    });
    this.#known = await this.#declared;
    return this.#known;
  }

  /** Errors: NOT_SUPPORTED, READ_ONLY. */
  async #pausable(): Promise<void> {
    this.#core.assertSupports("pause", "pausing");
    this.#core.assertWritable();
    await this.#queue();
  }

  async #declare(): Promise<EngineQueue> {
    const { broker } = this.#core.engine;
    const sources = checkedSources(this.#core, this.#options.bind);
    const queue = await broker.declareQueue(this.name, brokerOptions(this.#options), this.#core.session);
    await bindSources(this.#core, sources, this);
    return queue;
  }
}

function brokerOptions(options: AnyQueueOptions): Partial<BrokerQueueOptions> {
  const { ageMax, expiresAfter, deduplicate, inbox, deadLetterTo, bind: _, ...rest } = options;
  return {
    ...rest,
    ...deduplicationOptions(deduplicate),
    ...inboxOptions(inbox),
    ...(deadLetterTo === undefined ? {} : { deadLetterTo: deadLetterTarget(deadLetterTo) }),
    ...(ageMax === undefined ? {} : { ageMaxMs: toMs("ageMax", ageMax, 1) }),
    ...(expiresAfter === undefined ? {} : { expiresAfterMs: toMs("expiresAfter", expiresAfter, 1) }),
  };
}
