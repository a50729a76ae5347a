// What of a bus is with those who are there at the moment: live messages, looking on, asking and being answered.

import { assertPattern } from "../broker/subject.js";
import type { Capabilities } from "../engines/engine.js";
import type { BusCore } from "./bus-core.js";
import type { Gathered } from "./gathering.js";
import { LiveMessage } from "./live-message.js";
import { type LiveOptions, type LiveSubscription, openLive } from "./live-subscription.js";
import type { CommandType, EventType } from "./message-type.js";
import { checkedLiveOptions, type LivePublishOptions } from "./publish-options.js";
import { type GatherOptions, type RequestOptions, Requests } from "./requests.js";
import type { IfSupported } from "./supported.js";

/** A part of every {@link Bus}. */
export abstract class Conversation<C extends Capabilities> {
  readonly #core: BusCore;
  readonly #requests: Requests;

  constructor(core: BusCore) {
    this.#core = core;
    this.#requests = new Requests(core);
  }

  /**
   * Hands the event to the live subscriptions that are there now, and stores it nowhere: a group does not get it. Resolves
   * with how many took it. Waits only for those with `whenFull: "wait"`. Errors: INVALID_PAYLOAD, INVALID_SCHEMA,
   * INVALID_OPTION, NOT_SUPPORTED, TOO_MANY_PENDING, the reason of the signal.
   *
   * @example
   * const seenBy = await bus.publishLive(CursorMoved, { x: 3, y: 4 });
   */
  async publishLive<In, Out>(
    event: EventType<In, Out>,
    value: NoInfer<In>,
    options?: IfSupported<C["live"], LivePublishOptions>,
  ): Promise<number> {
    this.#core.assertSupports("live", "live publishing");
    return await this.#core.senders.event(event).sendLive(value, checkedLiveOptions(options));
  }

  /**
   * Looks on at events whose subject matches `pattern`, from now on, those that are published live too: `*` is one level,
   * `#` any number, a last `>` one or more. Not durable: for looking, not for work. Errors: INVALID_SUBJECT, INVALID_OPTION.
   *
   * @example
   * for await (const message of bus.subscribe("order.#", { buffer: 100 })) console.log(message.subject, message.text());
   */
  subscribe(
    pattern: string,
    options: IfSupported<C["live"], LiveOptions> = {} as IfSupported<C["live"], LiveOptions>,
  ): LiveSubscription {
    this.#core.assertOpen();
    this.#core.assertSupports("live", "live subscriptions");
    return openLive(this.#core, pattern, options);
  }

  /**
   * The last message of each subject that matches `pattern` and for which one was published with `retain`, in the order in
   * which they were published. Those that have expired are not among them. Errors: INVALID_SUBJECT, those of storage.
   *
   * @example
   * for await (const message of bus.retained("sensor.*.temperature")) console.log(message.subject, message.json());
   */
  async *retained(pattern: C["retained"] extends false ? never : string): AsyncGenerator<LiveMessage, void> {
    this.#core.assertOpen();
    this.#core.assertSupports("retained", "retained messages");
    assertPattern(pattern);
    for await (const message of this.#core.engine.broker.retained.read(pattern))
      yield new LiveMessage(message, this.#core.codecs, true);
  }

  /** Forgets the retained messages whose subject matches, durably; resolves with how many. Errors: INVALID_SUBJECT, READ_ONLY, those of storage. */
  async clearRetained(pattern: C["retained"] extends false ? never : string): Promise<number> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    this.#core.assertSupports("retained", "retained messages");
    assertPattern(pattern);
    return await this.#core.engine.broker.retained.clear(pattern);
  }

  /**
   * Sends the command and resolves with what its handler replies; with undefined when that returns nothing and the command
   * has no schema of replies. The request is stored like any command, the reply is not. Errors: NO_HANDLER when nobody is
   * there to answer, REQUEST_TIMEOUT, REQUEST_FAILED with the handler's error after its last attempt, INVALID_PAYLOAD,
   * TOO_MANY_PENDING, those of {@link Bus.send}.
   *
   * @example
   * const Quote = command("quote", { schema: z.object({ sku: z.string() }), reply: z.object({ price: z.number() }) });
   * bus.handle(Quote, ({ sku }) => reply({ price: prices[sku] }));
   * const { price } = await bus.request(Quote, { sku: "tea" }, { timeout: "2s" });
   */
  async request<In, Out, Reply, Answer>(
    command: CommandType<In, Out, Reply, Answer>,
    value: NoInfer<In>,
    options?: IfSupported<C["live"], RequestOptions>,
  ): Promise<Answer> {
    return await this.#requests.ask(command, this.#core.senders.command(command), value, options);
  }

  /**
   * Requests each of many, and resolves with what became of each, in their order, when all are answered, have failed or are
   * late: `fulfilled` with its `value` or `rejected` with its `reason`, those of {@link Bus.request}. Never rejects.
   */
  async requestAll<In, Out, Reply, Answer>(
    command: CommandType<In, Out, Reply, Answer>,
    values: readonly NoInfer<In>[],
    options?: IfSupported<C["live"], Omit<RequestOptions, "id">>,
  ): Promise<PromiseSettledResult<Answer>[]> {
    return await Promise.allSettled(values.map((value) => this.request(command, value, options)));
  }

  /**
   * Publishes the event and resolves with what its groups reply: when all that are asked have answered, when `first` have,
   * or when the time is over. A group that fails, is late or is not there is named in the result. Errors: NO_HANDLER when
   * nobody is there to answer, INVALID_OPTION, TOO_MANY_PENDING, those of {@link Bus.publish}.
   *
   * @example
   * const { replies, missing } = await bus.gather(OffersWanted, { sku: "tea" }, { timeout: "500ms" });
   */
  async gather<In, Out, Reply, Answer>(
    event: EventType<In, Out, Reply, Answer>,
    value: NoInfer<In>,
    options?: IfSupported<C["live"], GatherOptions>,
  ): Promise<Gathered<Answer>> {
    return await this.#requests.gather(event, this.#core.senders.event(event), value, options);
  }
}
