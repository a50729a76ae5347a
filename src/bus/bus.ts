// The bus: what applications publish to and handle messages with.

import type { ExchangeKind } from "../broker/binding.js";
import type { Capabilities, Engine } from "../engines/engine.js";
import { unlessAborted } from "./abortable.js";
import { BusCore } from "./bus-core.js";
import { close, drain } from "./closing.js";
import type { AnyCodec } from "./codec.js";
import { Conversation } from "./conversation.js";
import { DeadLetters } from "./dead-letters.js";
import type { BusCodecs } from "./decoding.js";
import { Exchange, type ExchangeOptions } from "./exchange.js";
import type { BatchHandler, BatchOptions, Handler, HandlerOptions, Handling } from "./handler.js";
import { HANDLER_OPTIONS } from "./handler-settings.js";
import type { AnyRegisterOptions } from "./handlers.js";
import { assertKind, type CommandType, type EventType } from "./message-type.js";
import type { Middleware } from "./middleware.js";
import { invalidOption, knownOptions } from "./option-checks.js";
import { type GroupStart, startPosition } from "./place.js";
import { Producer } from "./producer.js";
import { type ProducerOptions, ProducerSettings } from "./producer-settings.js";
import type {
  AnyPublishOptions,
  BodyOptions,
  EventPublishOptions,
  PublishOptions,
} from "./publish-options.js";
import { Queue, type QueueOptions } from "./queue.js";
import { TypedReading } from "./reading.js";
import type { Receipt } from "./receipt.js";
import { type InboxOptions, inboxOptions } from "./remembering.js";
import type { Reporter } from "./reporter.js";
import { type RoutingView, routingView } from "./routing-view.js";
import {
  type IfScheduling,
  type Schedule,
  type ScheduleOptions,
  Schedules,
  type ScheduleWhen,
} from "./schedules.js";
import type { BusStatistics } from "./statistics.js";
import type { IfSupported } from "./supported.js";
import { Topic, type TopicOptions } from "./topic.js";
import { OpenTransaction, type Transaction } from "./transaction.js";

export interface BusOptions {
  /** Hears of errors that no caller waits for, and where they happened. @default one line on standard error */
  readonly onError?: Reporter;
  /**
   * What messages are read with that were written by another codec than that of their type here. JSON and text are
   * known already. @default none
   */
  readonly codecs?: readonly AnyCodec[];
}

export interface GroupHandlerOptions extends InboxOptions {
  /**
   * The group: one consumer of it gets each event; other groups get it too. Up to 765 letters, digits, `.`, `_`, `-`,
   * `:` and `%`. It is stored, and goes on where it was after a restart.
   */
  readonly group: string;
  /**
   * Where a group that is new begins: at what is published from now on, at the first event kept, or from an offset or a
   * time. @default "new"
   */
  readonly from?: GroupStart;
}

/**
 * Publishes events to every group, sends commands to one receiver, and handles both. Made by `openBus`.
 *
 * Every verb throws CLOSED after {@link Bus.close}. "Those of storage" are DISK_FULL, STORAGE_FAILED and
 * TOO_MANY_PENDING; `docs/errors.md` says what to do about each code.
 *
 * @example
 * const Greeting = command<{ to: string }>("greeting");
 * const bus = await openBus("./data");
 * bus.handle(Greeting, ({ to }) => console.log(`Hello, ${to}`));
 * await bus.send(Greeting, { to: "Ada" });
 */
export class Bus<C extends Capabilities = Capabilities> extends Conversation<C> {
  /** Messages that could not be handled: to be listed, replayed and discarded. */
  readonly deadLetters: DeadLetters;
  /** Messages that are sent again and again: to be listed, paused, resumed and removed. */
  readonly schedules: Schedules;
  readonly #core: BusCore;
  #closing: Promise<void> | undefined = undefined;

  /** Made by `openBus`. */
  constructor(engine: Engine<C>, onError: Reporter, codecs: BusCodecs) {
    const core = new BusCore(engine, onError, codecs);
    super(core);
    this.#core = core;
    this.deadLetters = new DeadLetters(this.#core);
    this.schedules = new Schedules(this.#core);
  }

  get engine(): Engine<C> {
    return this.#core.engine as Engine<C>;
  }

  /** `heard` hears of every message with a type that was stored with others as one: by handlers and transactions. */
  protected onSent(heard: (type: EventType | CommandType, value: unknown, receipt: Receipt) => void): void {
    this.#core.onSent = heard;
  }

  /** Whether handlers are being declared, or producers hand over what they have. */
  protected get isBusy(): boolean {
    return this.#core.isBusy;
  }

  /**
   * Runs `middleware` around every call that hands messages over and every call of a handler, from now on; what was
   * registered first is outermost. Receiving by hand is not handling. Errors: INVALID_OPTION.
   *
   * @example
   * bus.use({
   *   publish(context, next) {
   *     for (const { headers } of context.messages) headers["tenant"] = "acme";
   *     return next();
   *   },
   *   async handle({ name, messages }, next) {
   *     await next();
   *     console.log(`handled ${messages.length} of ${name}`);
   *   },
   * });
   */
  use(middleware: Middleware): this {
    this.#core.assertOpen();
    this.#core.middleware.add(middleware);
    return this;
  }

  /**
   * Resolves when every group that is subscribed is sure to get the event: when it is stored at the level of its
   * topic, on disk by default. Errors: INVALID_PAYLOAD, INVALID_SCHEMA, INVALID_OPTION, MESSAGE_TOO_LARGE, QUEUE_FULL
   * when a queue that is bound to it is full, those of storage, the reason of the signal.
   *
   * @example
   * const receipt = await bus.publish(OrderPlaced, { id: "o-1", total: 42 }, { delay: "10s" });
   */
  publish<In, Out>(
    event: EventType<In, Out>,
    value: NoInfer<In>,
    options?: EventPublishOptions<C>,
  ): Promise<Receipt> {
    try {
      return this.#core.senders.event(event).send(value, options as AnyPublishOptions | undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Publishes all in one go, so that they share a commit: all are taken or none. Errors: those of {@link Bus.publish}.
   */
  async publishMany<In, Out>(
    event: EventType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: EventPublishOptions<C>,
  ): Promise<Receipt[]> {
    return await this.#core.senders.event(event).sendMany(values, options as AnyPublishOptions | undefined);
  }

  /**
   * Resolves when one receiver is sure to get the command: when it is stored at the level of its queue, on disk by
   * default. Errors: INVALID_PAYLOAD, INVALID_OPTION, MESSAGE_TOO_LARGE, QUEUE_FULL, those of storage, the reason of
   * the signal.
   *
   * @example
   * await bus.send(ReserveStock, { sku: "tea", count: 2 });
   */
  send<In, Out>(
    command: CommandType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<C>,
  ): Promise<Receipt> {
    try {
      return this.#core.senders.command(command).send(value, options as AnyPublishOptions | undefined);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends all in one go, so that they share a commit: all are taken or none, unless the queue makes its publishers
   * wait. Errors: those of {@link Bus.send}.
   */
  async sendMany<In, Out>(
    command: CommandType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: PublishOptions<C>,
  ): Promise<Receipt[]> {
    return await this.#core.senders
      .command(command)
      .sendMany(values, options as AnyPublishOptions | undefined);
  }

  /**
   * Sends, and acknowledges deliveries, as one: when `work` has ended well, all of it is stored or nothing, and nobody
   * sees a part of it. When `work` throws, nothing is, and what it threw is thrown. Resolves with what `work` returned.
   * Waits for queues that make their publishers wait; `signal` ends that. Errors: what `work` throws, what a verb of the
   * transaction refused, QUEUE_FULL, LEASE_LOST, NOT_SUPPORTED, those of storage, the reason of the signal.
   *
   * @example
   * await bus.transaction(async (tx) => {
   *   await tx.publish(OrderPaid, { id: "o-1" });
   *   await tx.send(Ship, { order: "o-1" });
   *   tx.ack(delivery);
   * });
   */
  async transaction<T>(
    work: (transaction: Transaction<C>) => T | Promise<T>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    const { signal } = knownOptions("transaction", options, ["signal"]);
    signal?.throwIfAborted();
    if (typeof work !== "function") throw invalidOption("work of transaction", work, "a function");
    const transaction = new OpenTransaction(this.#core);
    try {
      const result = await work(transaction as unknown as Transaction<C>);
      await transaction.commit(signal);
      return result;
    } finally {
      transaction.close();
    }
  }

  /**
   * Sends many messages of one type, or bodies to one queue, more than one at a time: with a bound on what is under way,
   * in batches, as fast as a rate limit says, with `send` or with `enqueue`. Errors: INVALID_OPTION, INVALID_NAME.
   *
   * @example
   * await using producer = bus.producer(ReadingTaken, { pendingMax: 10_000, linger: "5ms" });
   * for (const reading of readings) producer.enqueue(reading, (error) => error && console.error(error));
   */
  producer<In, Out>(
    event: EventType<In, Out>,
    options?: ProducerOptions,
  ): Producer<In, EventPublishOptions<C>>;
  producer<In, Out>(
    command: CommandType<In, Out>,
    options?: ProducerOptions,
  ): Producer<In, PublishOptions<C>>;
  producer(queue: string, options?: ProducerOptions): Producer<string | Uint8Array, BodyOptions<C>>;
  producer(to: EventType | CommandType | string, options: ProducerOptions = {}): unknown {
    if (typeof to === "string") return this.queue(to).producer(options);
    const { senders } = this.#core;
    const sender = to?.kind === "command" ? senders.command(to) : senders.event(to as EventType);
    return new Producer(this.#core, sender.target(), new ProducerSettings(to.name, options));
  }

  /**
   * Handles an event for a group. Returning is success; throwing is failure, and the retry policy decides. What is
   * published after the call reaches the group. Errors: INVALID_OPTION, DUPLICATE_HANDLER.
   *
   * @example
   * bus.on(OrderPlaced, { group: "billing", concurrency: 4 }, async (order, ctx) => {
   *   await fetch(`https://billing.example/${order.id}`, { method: "POST", signal: ctx.signal });
   * });
   */
  on<In, Out, Reply, Answer>(
    event: EventType<In, Out, Reply, Answer>,
    options: GroupHandlerOptions & HandlerOptions<C> & { readonly batch?: never },
    handler: Handler<Out, C, NoInfer<Reply>>,
  ): Handling;
  on<In, Out>(
    event: EventType<In, Out>,
    options: GroupHandlerOptions & HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<Out, C>,
  ): Handling;
  on(event: unknown, given: object, handler: unknown): Handling {
    assertKind("event", event, "on");
    const options = knownOptions("on", given, ["group", "from", "inbox", ...HANDLER_OPTIONS]);
    const { group, from, inbox } = options as Partial<GroupHandlerOptions>;
    if (typeof group !== "string" || group === "")
      throw invalidOption(
        "group",
        group,
        "the name of a group: handlers of one group share the events, each group gets them all",
      );
    if (inbox !== undefined) this.#core.assertSupports("deduplication", "finding duplicates");
    const asked = { ...(from === undefined ? {} : { from: startPosition(from) }), ...inboxOptions(inbox) };
    const { topic, name } = event;
    const declare = async () => {
      await this.#core.senders.declareEvent(event);
      const wanted = { subjects: [name], ...asked };
      return (await this.engine.broker.declareSubscription(topic, group, wanted)).source;
    };
    const target = { kind: "group", name: `${topic}/${group}`, source: topic, declare } as const;
    return this.#core.handlers.register(target, new TypedReading(event, this.#core.codecs), options, handler);
  }

  /**
   * Handles a command: each one goes to one handler. See {@link Bus.on}. A message in its queue that no handler of this
   * bus is for is dead-lettered. Errors: INVALID_OPTION, DUPLICATE_HANDLER.
   *
   * @example
   * bus.handle(ReserveStock, { retry: { attempts: 3 } }, async ({ sku }) => {
   *   if (sku === "") return deadLetter("no article is named");
   *   return ack();
   * });
   */
  handle<In, Out, Reply, Answer>(
    command: CommandType<In, Out, Reply, Answer>,
    handler: Handler<Out, C, NoInfer<Reply>>,
  ): Handling;
  handle<In, Out, Reply, Answer>(
    command: CommandType<In, Out, Reply, Answer>,
    options: HandlerOptions<C> & { readonly batch?: never },
    handler: Handler<Out, C, NoInfer<Reply>>,
  ): Handling;
  handle<In, Out>(
    command: CommandType<In, Out>,
    options: HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<Out, C>,
  ): Handling;
  handle(command: unknown, ...rest: unknown[]): Handling {
    assertKind("command", command, "handle");
    const [given, handler] = rest.length === 1 ? [{}, rest[0]] : [rest[0], rest[1]];
    const options = knownOptions("handle", given as AnyRegisterOptions, HANDLER_OPTIONS);
    const { queue } = command;
    const declare = async () => (await this.engine.broker.declareQueue(queue, {}, this.#core.session)).source;
    const target = { kind: "queue", name: queue, source: queue, declare } as const;
    return this.#core.handlers.register(
      target,
      new TypedReading(command, this.#core.codecs),
      options,
      handler,
    );
  }

  /**
   * Sends a command, or publishes an event, at each time of `when` from now on, whether or not this process lives then:
   * whoever has the data directory open does so. Stored; one that is there already stays as it is. A crash neither
   * doubles a message nor loses it. Errors: INVALID_NAME, INVALID_OPTION, INVALID_PAYLOAD, SCHEDULE_MISMATCH, those of
   * storage.
   *
   * @example
   * await bus.schedule("reports", { cron: "0 6 * * 1-5", timeZone: "Europe/Berlin" }, MakeReport, { kind: "daily" });
   * await bus.schedule("cleaning", { every: "15m" }, CleanUp, {}, { missed: "skip" });
   */
  async schedule<In, Out>(
    name: string,
    when: IfScheduling<C["schedules"], ScheduleWhen>,
    type: EventType<In, Out> | CommandType<In, Out>,
    value: NoInfer<In>,
    options?: ScheduleOptions,
  ): Promise<Schedule> {
    return await this.schedules.declare(name, when as ScheduleWhen, type, value, options);
  }

  /**
   * A queue by its name, for bodies without a message type, and for settling by hand. It is made by its first verb.
   * Errors: INVALID_OPTION for an option that does not exist.
   */
  queue(name: string, options: QueueOptions<C> = {} as QueueOptions<C>): Queue<C> {
    this.#core.assertOpen();
    return new Queue<C>(this.#core, name, options);
  }

  /**
   * A topic by its name, for bodies without a message type, reading by offset, and settling by hand. It is made by its
   * first verb. Errors: INVALID_OPTION for an option that does not exist.
   */
  topic(name: string, options: TopicOptions = {}): Topic<C> {
    this.#core.assertOpen();
    return new Topic<C>(this.#core, name, options);
  }

  /**
   * An exchange by its name, which leads what is published to it on to queues, topics and exchanges. It is made by its
   * first verb; the one with the empty name is the bus itself. Errors: INVALID_OPTION for an option that does not exist,
   * NOT_SUPPORTED.
   */
  exchange<const K extends ExchangeKind = ExchangeKind>(
    name: string,
    options?: IfSupported<C["exchanges"], ExchangeOptions<K>>,
  ): Exchange<C, K> {
    this.#core.assertOpen();
    return new Exchange<C, K>(this.#core, name, (options ?? {}) as ExchangeOptions);
  }

  /** How messages are led: every exchange, binding and forward. */
  routing(): RoutingView {
    this.#core.assertOpen();
    return routingView(this.engine.broker);
  }

  /**
   * What there is: every queue, topic and group, with its numbers, and how storing goes. Counters begin at 0 when the
   * bus is opened.
   */
  statistics(): BusStatistics {
    this.#core.assertOpen();
    return this.engine.broker.statistics();
  }

  /**
   * Ends all handlers: takes no more messages, waits until the calls that run have ended and all is stored, however
   * long that takes. Publishing still works. Errors: the signal's reason; what runs then goes on.
   */
  async drain(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#core.assertOpen();
    const { signal } = knownOptions("drain", options, ["signal"]);
    signal?.throwIfAborted();
    await unlessAborted(drain(this.#core), signal);
  }

  /**
   * Drains for at most 10 seconds, gives back what is still unsettled, stores everything and lets go of the data
   * directory. Handlers that still run may publish until they have ended; nothing begins to receive any more.
   */
  close(): Promise<void> {
    this.#closing ??= close(this.#core);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
