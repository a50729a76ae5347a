// The bus: what applications publish to and handle messages with.

import { BrokerError } from "../broker-error.js";
import type { Capabilities, Engine, EngineSource } from "../engines/engine.js";
import type { Timer } from "../io/io.js";
import { abortable } from "./abortable.js";
import { BusCore } from "./bus-core.js";
import { Consumption } from "./consumption.js";
import { DeadLetters } from "./dead-letters.js";
import type { AnyHandlerOptions, BatchHandler, BatchOptions, Handler, HandlerOptions } from "./handler.js";
import { HandlerSettings } from "./handler-settings.js";
import { type LiveOptions, LiveSubscription } from "./live-subscription.js";
import { assertKind, type CommandType, type EventType, type MessageType } from "./message-type.js";
import { EventOutlet } from "./outlet.js";
import type { AnyPublishOptions, PublishOptions } from "./publish-options.js";
import { Queue, type QueueOptions } from "./queue.js";
import type { Receipt } from "./receipt.js";
import { BatchRegistration, type Registration, SingleRegistration } from "./registration.js";
import { Sender } from "./sender.js";
import type { BusStatistics } from "./statistics.js";
import { Topic, type TopicOptions } from "./topic.js";

export interface BusOptions {
  /** Hears of errors that no caller waits for, and where they happened. @default one line on standard error */
  readonly onError?: (error: unknown, where: string) => void;
}

export interface GroupHandlerOptions {
  /**
   * The group: one consumer of it gets each event; other groups get it too. Up to 200 letters, digits, `.`, `_`, `-`
   * and `:`. It is stored, and goes on where it was after a restart.
   */
  readonly group: string;
  /** Where a group that is new begins: at what is published from now on, or at the first event kept. @default "new" */
  readonly from?: "new" | "beginning";
}

/** A handler that was registered. */
export interface Handling {
  /** Resolves when it receives messages. Errors: those of declaring its queue, topic or group; they are reported to `onError` too. */
  readonly ready: Promise<void>;
  /** Calls that have not answered yet. */
  readonly running: number;
  /** Takes no more messages and waits for the calls that run. */
  close(): Promise<void>;
}

type AnyRegisterOptions = AnyHandlerOptions & { readonly batch?: BatchOptions };

/** How long {@link Bus.close} waits for handlers that run. */
const CLOSE_WAIT_MS = 10_000;
/** A timer this long does nothing but keep the process alive while somebody handles messages. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

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
export class Bus<C extends Capabilities = Capabilities> {
  /** Messages that could not be handled: to be listed, replayed and discarded. */
  readonly deadLetters: DeadLetters;
  readonly #core: BusCore;
  readonly #senders = new Map<MessageType<unknown, unknown>, Promise<Sender<unknown>> | Sender<unknown>>();
  readonly #consumptions = new Map<string, Consumption>();
  /** Ends when all handlers registered so far are declared: publishing waits for it, so that a group misses nothing published after `on`. */
  #starting: Promise<unknown> | undefined = undefined;
  #keepAlive: Timer | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  /** Made by `openBus`. */
  constructor(engine: Engine<C>, onError: (error: unknown, where: string) => void) {
    this.#core = new BusCore(engine, onError);
    this.deadLetters = new DeadLetters(this.#core);
  }

  get engine(): Engine<C> {
    return this.#core.engine as Engine<C>;
  }

  /**
   * Resolves when every group that is subscribed is sure to get the event: when it is stored at the level of its
   * topic, on disk by default. Errors: INVALID_PAYLOAD, INVALID_OPTION, MESSAGE_TOO_LARGE, QUEUE_FULL when a queue
   * that is bound to it is full, those of storage, the reason of the signal.
   *
   * @example
   * const receipt = await bus.publish(OrderPlaced, { id: "o-1", total: 42 }, { delay: "10s" });
   */
  async publish<In, Out>(
    event: EventType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<C>,
  ): Promise<Receipt> {
    const sender = this.#eventSender(event);
    return await (sender instanceof Promise ? await sender : sender).send(
      value,
      options as AnyPublishOptions | undefined,
    );
  }

  /**
   * Publishes all in one go, so that they share a commit. All are checked by the schema first. When it rejects, some
   * may be stored. Errors: those of {@link Bus.publish}.
   */
  async publishMany<In, Out>(
    event: EventType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: PublishOptions<C>,
  ): Promise<Receipt[]> {
    return await (await this.#eventSender(event)).sendMany(values, options as AnyPublishOptions | undefined);
  }

  /**
   * Resolves when one receiver is sure to get the command: when it is stored at the level of its queue, on disk by
   * default. Errors: INVALID_PAYLOAD, INVALID_OPTION, MESSAGE_TOO_LARGE, QUEUE_FULL, those of storage, the reason of
   * the signal.
   *
   * @example
   * await bus.send(ReserveStock, { sku: "tea", count: 2 });
   */
  async send<In, Out>(
    command: CommandType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<C>,
  ): Promise<Receipt> {
    const sender = this.#commandSender(command);
    return await (sender instanceof Promise ? await sender : sender).send(
      value,
      options as AnyPublishOptions | undefined,
    );
  }

  /**
   * Sends all in one go, so that they share a commit. All are checked by the schema first. When it rejects, some may
   * be stored. Errors: those of {@link Bus.send}.
   */
  async sendMany<In, Out>(
    command: CommandType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: PublishOptions<C>,
  ): Promise<Receipt[]> {
    return await (await this.#commandSender(command)).sendMany(
      values,
      options as AnyPublishOptions | undefined,
    );
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
  on<In, Out>(
    event: EventType<In, Out>,
    options: GroupHandlerOptions & HandlerOptions<C>,
    handler: Handler<Out>,
  ): Handling;
  on<In, Out>(
    event: EventType<In, Out>,
    options: GroupHandlerOptions & HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<Out>,
  ): Handling;
  on(event: unknown, given: object, handler: unknown): Handling {
    assertKind("event", event, "on");
    const options = given as GroupHandlerOptions & AnyRegisterOptions;
    const { group, from } = options;
    if (typeof group !== "string" || group === "") {
      throw new BrokerError(
        "INVALID_OPTION",
        "on needs the name of a group: handlers of one group share the events, each group gets them all.",
        { option: "group" },
      );
    }
    const { topic } = event;
    const consumption = this.#consumption(`${topic}/${group}`, topic, "hold");
    return this.#register(consumption, event, topic, options, handler, async () => {
      await this.#declareEvent(event);
      const wanted = { subjects: [event.name], ...(from === undefined ? {} : { from }) };
      return (await this.engine.broker.declareSubscription(topic, group, wanted)).source;
    });
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
  handle<In, Out>(command: CommandType<In, Out>, handler: Handler<Out>): Handling;
  handle<In, Out>(command: CommandType<In, Out>, options: HandlerOptions<C>, handler: Handler<Out>): Handling;
  handle<In, Out>(
    command: CommandType<In, Out>,
    options: HandlerOptions<C> & { readonly batch: BatchOptions },
    handler: BatchHandler<Out>,
  ): Handling;
  handle(command: unknown, ...rest: unknown[]): Handling {
    assertKind("command", command, "handle");
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : [(rest[0] ?? {}) as object, rest[1]];
    const { queue } = command;
    const consumption = this.#consumption(queue, queue, "dead-letter");
    return this.#register(
      consumption,
      command,
      queue,
      options,
      handler,
      async () => (await this.engine.broker.declareQueue(queue)).source,
    );
  }

  /**
   * A queue by its name, for bodies without a message type, and for settling by hand. It is made by its first verb.
   */
  queue(name: string, options: QueueOptions = {}): Queue<C> {
    this.#core.assertOpen();
    return new Queue<C>(this.#core, name, options);
  }

  /**
   * A topic by its name, for bodies without a message type, reading by offset, and settling by hand. It is made by its
   * first verb.
   */
  topic(name: string, options: TopicOptions = {}): Topic<C> {
    this.#core.assertOpen();
    return new Topic<C>(this.#core, name, options);
  }

  /**
   * Looks on at events whose subject matches `pattern`, from now on: `*` is one level, `#` any number, a last `>` one
   * or more. Not durable: for looking, not for work. Errors: INVALID_SUBJECT, INVALID_OPTION.
   *
   * @example
   * for await (const message of bus.subscribe("order.#", { buffer: 100 })) console.log(message.subject, message.text());
   */
  subscribe(
    pattern: string,
    options: C["live"] extends true ? LiveOptions : never = {} as never,
  ): LiveSubscription {
    this.#core.assertOpen();
    const { buffer = 1000, whenFull = "drop-oldest", signal }: LiveOptions = options;
    const live = this.engine.broker.subscribeLive({ pattern, bufferMax: buffer, whenFull });
    this.#core.onClose(() => live.close());
    return new LiveSubscription(live, signal);
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
   * Takes no more messages, waits until the handlers that run have ended and all is stored, however long that takes.
   * Publishing still works. Errors: the signal's reason; what runs then goes on.
   */
  async drain(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const drained = this.#drain();
    await (options.signal === undefined ? drained : abortable(drained, options.signal));
  }

  /** Drains for at most 10 seconds, gives back what is still unsettled, stores everything and lets go of the data directory. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #eventSender<In>(event: EventType<In, unknown>): Sender<In> | Promise<Sender<In>> {
    return this.#sender(event, "event", async () => {
      assertKind("event", event as unknown, "publish");
      await this.#declareEvent(event);
      return new Sender(event, new EventOutlet(this.engine.broker), this.engine.clock);
    });
  }

  #commandSender<In>(command: CommandType<In, unknown>): Sender<In> | Promise<Sender<In>> {
    return this.#sender(command, "command", async () => {
      assertKind("command", command as unknown, "send");
      return new Sender(command, await this.engine.broker.declareQueue(command.queue), this.engine.clock);
    });
  }

  /** Hot: what was made for a type once is found again without a promise. */
  #sender<In>(
    type: MessageType<In, unknown> & { kind: string },
    kind: string,
    make: () => Promise<Sender<In>>,
  ): Sender<In> | Promise<Sender<In>> {
    this.#core.assertOpen();
    const known = type?.kind === kind ? this.#senders.get(type as MessageType<unknown, unknown>) : undefined;
    if (known !== undefined && this.#starting === undefined) return known as Sender<In>;
    return this.#makeSender(type, make);
  }

  async #makeSender<In>(
    type: MessageType<In, unknown>,
    make: () => Promise<Sender<In>>,
  ): Promise<Sender<In>> {
    await this.#starting;
    const key = type as MessageType<unknown, unknown>;
    const known = (await this.#senders.get(key)) as Sender<In> | undefined;
    if (known !== undefined) return known;
    const sender = await make();
    this.#senders.set(key, sender as Sender<unknown>);
    return sender;
  }

  /** An event's topic is there, and what is published with the event's name leads to it. */
  async #declareEvent(event: { readonly name: string; readonly topic: string }): Promise<void> {
    await this.engine.broker.declareTopic(event.topic);
    await this.engine.broker.bind(event.name, "topic", event.topic);
  }

  #consumption(name: string, source: string, unknown: "dead-letter" | "hold"): Consumption {
    this.#core.assertOpen();
    let consumption = this.#consumptions.get(name);
    if (consumption === undefined) {
      consumption = new Consumption(name, source, unknown, this.engine.clock, this.#core.onError);
      this.#consumptions.set(name, consumption);
    }
    return consumption;
  }

  #register(
    consumption: Consumption,
    type: MessageType<unknown, unknown>,
    source: string,
    options: AnyRegisterOptions,
    handler: unknown,
    declare: () => Promise<EngineSource>,
  ): Handling {
    if (typeof handler !== "function")
      throw new BrokerError(
        "INVALID_OPTION",
        `The handler of ${type.name} is a ${typeof handler}; give a function.`,
        { type: type.name },
      );
    const { clock, random } = this.engine;
    const settings = new HandlerSettings(options, random);
    const parts = { type, settings, source, clock, onError: this.#core.onError };
    const registration: Registration =
      options.batch === undefined
        ? new SingleRegistration(parts, handler as Handler<unknown>)
        : new BatchRegistration(parts, handler as BatchHandler<unknown>);
    consumption.add(registration);
    this.#keepAlive ??= clock.setTimer(() => undefined, KEEP_ALIVE_MS);
    const ready = this.#start(consumption, declare);
    const reported = ready.catch((error: unknown) =>
      this.#core.onError(error, `starting the handler of ${type.name}`),
    );
    const starting = Promise.all([this.#starting, reported]).then(() => {
      if (this.#starting === starting) this.#starting = undefined;
    });
    this.#starting = starting;
    return {
      ready,
      get running() {
        return registration.running;
      },
      close: () => consumption.remove(registration),
    };
  }

  async #start(consumption: Consumption, declare: () => Promise<EngineSource>): Promise<void> {
    const source = await declare();
    if (!this.#core.isClosed) consumption.start(source);
  }

  async #drain(): Promise<void> {
    await this.#starting;
    await Promise.all([...this.#consumptions.values()].map((consumption) => consumption.drain()));
    this.#consumptions.clear();
    this.#keepAlive?.cancel();
    this.#keepAlive = undefined;
    await this.engine.broker.flush();
  }

  async #close(): Promise<void> {
    const consumptions = [...this.#consumptions.values()];
    this.#core.beginClose();
    const { clock } = this.engine;
    let timer: Timer | undefined;
    const timeIsOver = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, CLOSE_WAIT_MS);
    });
    const drained = this.#drain().catch((error: unknown) =>
      this.#core.onError(error, "draining before the close"),
    );
    await Promise.race([drained, timeIsOver]);
    timer?.cancel();
    const reason = new BrokerError("CLOSED", "The bus was closed while this handler ran.");
    for (const consumption of consumptions) consumption.abandon(reason);
    this.#keepAlive?.cancel();
    await this.engine.broker.close();
  }
}
