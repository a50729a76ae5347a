// An exchange as applications hold it: bodies in, led on to what is bound.

import { BUS_EXCHANGE, type ExchangeKind } from "../broker/binding.js";
import type { OutgoingMessage } from "../broker/message.js";
import { assertPublishable } from "../broker/subject.js";
import type { Capabilities, EngineAppended, EngineExchange } from "../engines/engine.js";
import { unlessAborted } from "./abortable.js";
import {
  type Bindable,
  type BindingOf,
  type BindingSource,
  bindingTo,
  bindSources,
  checkedSources,
} from "./binding.js";
import { assertBody } from "./body-sender.js";
import type { BusCore } from "./bus-core.js";
import { ExchangeOutlet } from "./exchange-outlet.js";
import { invalidOption, knownOptions } from "./option-checks.js";
import { untilCommitted } from "./outlet.js";
import {
  type AnyPublishOptions,
  MessageMaker,
  type TopicBodyOptions,
  withHeaders,
} from "./publish-options.js";
import { Receipt } from "./receipt.js";
import { refused } from "./refusal.js";
import { openRetained } from "./retaining.js";

/** What an exchange is declared with. What is left out is what it was declared with before. Only `bind` can be added to. */
export interface ExchangeOptions<K extends ExchangeKind = ExchangeKind> {
  /**
   * How it chooses among what is bound to it: `direct`, by the very subject; `fanout`, all; `topic`, by a pattern of
   * subjects; `headers`, by headers; `consistent-hash`, one of them by the key of the message, or else by its subject.
   * @default "topic"
   */
  readonly kind?: K;
  /** The name of another exchange, which has to be there: it gets what nothing is bound for here. @default none */
  readonly alternate?: string;
  /** The exchange is deleted when the last binding from it is gone, once it had one. @default false */
  readonly autoDelete?: boolean;
  /** What leads to this exchange: patterns of subjects of the bus, or bindings of other exchanges. */
  readonly bind?: readonly (string | BindingSource)[];
}

interface RouteOption {
  /** Whether it is an error, UNROUTABLE, when the message leads to no queue and no topic. @default false */
  readonly mustRoute?: boolean;
}

export type ExchangePublishOptions<C extends Capabilities = Capabilities> = Omit<
  TopicBodyOptions<C>,
  "subject"
> &
  RouteOption;

/**
 * An exchange, which leads messages to the queues, topics and exchanges that are bound to it. Each verb makes the
 * exchange with the options it was asked for, or finds it: EXCHANGE_MISMATCH when it was made with others. The exchange
 * with the empty name is the bus itself.
 *
 * @example
 * const regions = bus.exchange("regions", { kind: "headers", bind: ["order.#"] });
 * await regions.bind(bus.queue("orders-eu"), { headers: { match: "all", values: { region: "eu" } } });
 * const receipts = await regions.publish("order.placed", '{"id":"o-1"}', { headers: { region: "eu" } });
 */
export class Exchange<C extends Capabilities = Capabilities, K extends ExchangeKind = ExchangeKind>
  implements Bindable
{
  readonly kind = "exchange";
  readonly name: string;
  readonly #core: BusCore;
  readonly #options: ExchangeOptions;
  #declared: Promise<void> | undefined = undefined;
  #known: EngineExchange | undefined = undefined;

  /** Made by {@link Bus.exchange}. */
  constructor(core: BusCore, name: string, options: ExchangeOptions) {
    this.name = name;
    this.#core = core;
    this.#options = knownOptions(`exchange ${name}`, options, ["kind", "alternate", "autoDelete", "bind"]);
    if (name !== BUS_EXCHANGE) core.assertSupports("exchanges", "exchanges");
    else if (Object.keys(this.#options).length > 0)
      throw invalidOption(
        "list of exchange ''",
        options,
        "none: that is the bus itself, which is always there",
      );
  }

  /** Makes the exchange, durably, or finds it; every other verb does so by itself. Errors: INVALID_NAME, INVALID_OPTION, INVALID_SUBJECT, EXCHANGE_MISMATCH, EXCHANGE_NOT_FOUND. */
  async declare(): Promise<this> {
    this.#core.assertOpen();
    if (this.#known?.isDeleted === true) this.#declared = undefined;
    this.#declared ??= this.#core.declaring(this.#declare()).catch((error: unknown) => {
      this.#declared = undefined;
      throw error;
    });
    await this.#declared;
    return this;
  }

  /**
   * Resolves when the message is durable in every queue and topic that it is led to, with a receipt for each, topics
   * first: all of them have it, or none. There is no receipt when it is led nowhere. Bytes may not be changed until then.
   * Errors: UNROUTABLE, INVALID_SUBJECT, INVALID_OPTION, INVALID_PAYLOAD, MESSAGE_TOO_LARGE, QUEUE_FULL, those of
   * storage, the reason of the signal.
   */
  publish(
    subject: string,
    body: string | Uint8Array,
    options?: ExchangePublishOptions<C>,
  ): Promise<Receipt[]> {
    try {
      assertPublishable(subject);
      this.#core.opening.assertRoom();
    } catch (error) {
      return refused(error);
    }
    return this.#publishHeard(subject, body, options as (AnyPublishOptions & RouteOption) | undefined);
  }

  async #publishHeard(
    subject: string,
    body: string | Uint8Array,
    asked: (AnyPublishOptions & RouteOption) | undefined,
  ): Promise<Receipt[]> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return await this.#publish(subject, body, asked);
    const origin = {
      operation: "publish",
      kind: "exchange",
      destination: this.name,
      subject,
      type: undefined,
    } as const;
    return await middleware.publish(origin, [body], asked, ([headers]) =>
      this.#publish(subject, body, withHeaders(asked, headers)),
    );
  }

  /**
   * Leads messages on to a queue, topic or exchange, which is made with the options it was asked for. What was bound
   * before, so or otherwise, stays. Errors: INVALID_OPTION, INVALID_SUBJECT, those of declaring both.
   */
  async bind(target: Bindable, ...how: BindingOf<K>): Promise<this> {
    const binding = bindingTo(this.name, target, how[0]);
    await this.declare();
    await target.declare();
    await this.#core.engine.broker.bind(binding);
    return this;
  }

  /** Nothing happens when it is not bound so. Errors: those of {@link Exchange.bind}, and that one of them is not there. */
  async unbind(target: Bindable, ...how: BindingOf<K>): Promise<this> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    await this.#core.engine.broker.unbind(bindingTo(this.name, target, how[0]));
    return this;
  }

  /** Deletes the exchange, with all that is bound from it and to it. Errors: EXCHANGE_NOT_FOUND, those of storage. */
  async delete(): Promise<void> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    await this.#core.engine.broker.deleteExchange(this.name);
  }

  async #publish(
    subject: string,
    body: string | Uint8Array,
    options: (AnyPublishOptions & RouteOption) | undefined,
  ): Promise<Receipt[]> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const nowMs = this.#core.engine.clock.nowMs();
    const message = this.#message(subject, body, nowMs, options);
    this.#core.assertWritable();
    await unlessAborted(this.#core.opening.wait(this.#ready()), signal);
    const isRetained = await openRetained(this.#core.engine, "exchange", options);
    this.#core.assertOpen();
    const appended = this.#append(message, options?.mustRoute === true, isRetained);
    await untilCommitted(appended.all, signal);
    return appended.routed.map((one) => new Receipt(one, nowMs, options?.id));
  }

  /** A group must not miss what is published after its handler was registered. */
  async #ready(): Promise<void> {
    await this.#core.handlers.starting;
    await this.declare();
  }

  /** What was taken by those that it was led to, and with what was retained. */
  #append(
    message: OutgoingMessage,
    mustRoute: boolean,
    isRetained: boolean,
  ): { readonly routed: readonly EngineAppended[]; readonly all: readonly EngineAppended[] } {
    const { broker } = this.#core.engine;
    const outlet = new ExchangeOutlet(broker, this.name, mustRoute);
    let routed: readonly EngineAppended[] = [];
    if (!isRetained) {
      routed = outlet.appendToEach(message);
      return { routed, all: routed };
    }
    let retained: EngineAppended | undefined;
    broker.atomically(() => {
      routed = outlet.appendToEach(message);
      retained = broker.retained.append(message);
    });
    return { routed, all: retained === undefined ? routed : [...routed, retained] };
  }

  #message(
    subject: string,
    body: unknown,
    nowMs: number,
    options: AnyPublishOptions | undefined,
  ): OutgoingMessage {
    assertBody(`exchange ${this.name}`, body);
    return new MessageMaker(this.#core.engine, subject, true, undefined).make(
      body,
      undefined,
      nowMs,
      options,
    );
  }

  async #declare(): Promise<void> {
    const { bind, ...options } = this.#options;
    const { broker } = this.#core.engine;
    const sources = checkedSources(this.#core, bind);
    if (this.name !== BUS_EXCHANGE) this.#known = await broker.declareExchange(this.name, options);
    await bindSources(this.#core, sources, this);
  }
}
