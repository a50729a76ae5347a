// Publishes one type of event or sends one type of command: checks, encodes, declares what it goes to when it is used
// for the first time, hands over, waits for the commit.

import type { OutgoingMessage } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import { unlessAborted } from "./abortable.js";
import { encodeValue } from "./codec.js";
import { describeThrown } from "./describe-thrown.js";
import type { CommandType, EventType, MessageType } from "./message-type.js";
import type { MessageHeaders, PublishOrigin } from "./middleware.js";
import { appendAll, appendWithRoom, type Outlet, type Prepared, untilCommitted } from "./outlet.js";
import type { ProducerTarget } from "./producer-target.js";
import { type AnyPublishOptions, assertOneId, MessageMaker, owned, withHeaders } from "./publish-options.js";
import { Receipt, receiptOf } from "./receipt.js";
import { refused } from "./refusal.js";
import { retaining } from "./retaining.js";
import { validate } from "./schema.js";
import type { SenderHost } from "./sender-host.js";

export class Sender<In> {
  readonly #core: SenderHost;
  readonly #type: MessageType<In, unknown>;
  readonly #origin: PublishOrigin;
  readonly #maker: MessageMaker;
  readonly #declare: () => Promise<Outlet>;
  #declaring: Promise<Outlet> | undefined = undefined;
  #outlet: Outlet | undefined = undefined;

  /** `declare` makes or finds what the messages go to. */
  constructor(
    core: SenderHost,
    type: EventType<In, unknown> | CommandType<In, unknown>,
    declare: () => Promise<Outlet>,
  ) {
    const isSubjectStored = type.kind === "event" || type.queue !== type.name;
    this.#core = core;
    this.#type = type;
    this.#origin = originOf(type);
    this.#maker = new MessageMaker(core.engine, type.name, isSubjectStored, type.codec.contentType);
    this.#declare = declare;
  }

  /**
   * Hot: resolves when the message is as durable as its queue or topic. What can be wrong with it is found, and its
   * body is made, before anything is declared or waited for.
   */
  send(value: In, options: AnyPublishOptions | undefined): Promise<Receipt> {
    if (this.#core.middleware.publishing === undefined) return this.#send(value, options);
    const { middleware } = this.#core;
    return middleware
      .publish(this.#origin, [value], options, async ([headers]) => [
        await this.#send(value, withHeaders(options, headers)),
      ])
      .then(([receipt]) => receipt!);
  }

  /** Hot: no promise but the one that is returned, where nothing has to be waited for but the commit. */
  #send(value: In, options: AnyPublishOptions | undefined): Promise<Receipt> {
    try {
      const signal = options?.signal;
      signal?.throwIfAborted();
      const checked = this.#check(value);
      const outlet = this.#readyOutlet(options);
      if (outlet === undefined) this.#core.opening.assertRoom();
      if (checked instanceof Promise || outlet === undefined || outlet.mustWait)
        return this.#sendLater(checked, value, options);
      const message = this.#message(value, options, this.#core.engine.clock.nowMs());
      this.#core.assertOpen();
      return receiptOf(outlet.append(message), message.timestampMs, options);
    } catch (error) {
      return refused(error);
    }
  }

  async #sendLater(checked: unknown, value: In, options: AnyPublishOptions | undefined): Promise<Receipt> {
    const signal = options?.signal;
    if (checked instanceof Promise) await unlessAborted(checked, signal);
    const message = this.#message(value, options, this.#core.engine.clock.nowMs());
    const { opening } = this.#core;
    const outlet =
      this.#readyOutlet(options) ?? (await unlessAborted(opening.wait(this.#outletFor(options)), signal));
    this.#core.assertOpen();
    const appended = outlet.mustWait ? await appendWithRoom(outlet, message, signal) : outlet.append(message);
    return await receiptOf(appended, message.timestampMs, options);
  }

  /**
   * Checks and encodes what will be handed over with other things, and makes or finds where it goes. Middleware runs
   * around that, and gets no receipt.
   */
  async prepare(value: In, options: AnyPublishOptions | undefined): Promise<Prepared> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return await this.prepareUnheard(value, options);
    let prepared: Prepared | undefined;
    await middleware.publish(this.#origin, [value], options, async ([headers]) => {
      prepared = await this.prepareUnheard(value, withHeaders(options, headers));
      return [];
    });
    return prepared!;
  }

  /** As {@link prepare}, for what is not sent now: no middleware hears of it. */
  async prepareUnheard(value: In, options: AnyPublishOptions | undefined): Promise<Prepared> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const checked = this.#check(value);
    if (checked instanceof Promise) await unlessAborted(checked, signal);
    const message = this.#message(value, options, this.#core.engine.clock.nowMs());
    const outlet = this.#readyOutlet(options) ?? (await unlessAborted(this.#outletFor(options), signal));
    return { outlet, message: owned(message), id: options?.id };
  }

  /** Resolves when what messages go to is there, and the handlers that were registered before receive. */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    if (this.#readyOutlet(undefined) === undefined) await unlessAborted(this.#open(), signal);
  }

  /** For a producer. */
  target(): ProducerTarget<In> {
    const { clock } = this.#core.engine;
    return {
      origin: this.#origin,
      message: (value, options) => {
        const checked = this.#check(value);
        if (!(checked instanceof Promise)) return this.#message(value, options, clock.nowMs());
        return checked.then(() => this.#message(value, options, clock.nowMs()));
      },
      open: async (options) => this.#readyOutlet(options) ?? (await this.#outletFor(options)),
    };
  }

  /** Resolves with how many of those who look on took it; it is stored nowhere, so that middleware gets no receipt. */
  async sendLive(value: In, options: AnyPublishOptions | undefined): Promise<number> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return await this.#sendLive(value, options);
    let receivers = 0;
    await middleware.publish(this.#origin, [value], options, async ([headers]) => {
      receivers = await this.#sendLive(value, withHeaders(options, headers));
      return [];
    });
    return receivers;
  }

  async #sendLive(value: In, options: AnyPublishOptions | undefined): Promise<number> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const checked = this.#check(value);
    if (checked instanceof Promise) await unlessAborted(checked, signal);
    const { broker, clock } = this.#core.engine;
    const message = owned(this.#message(value, options, clock.nowMs()));
    const { live } = broker;
    if (live.mustWait(message.subject)) await live.waitForRoom(message.subject, signal);
    this.#core.assertOpen();
    return broker.publishLive(message);
  }

  /** Hands all over in one go, so that they share a commit. All are taken or none. */
  sendMany(values: readonly In[], options: AnyPublishOptions | undefined): Promise<Receipt[]> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return this.#sendMany(values, options, undefined);
    return middleware.publish(this.#origin, values, options, (headers) =>
      this.#sendMany(values, options, headers),
    );
  }

  /** `headers` are those of each message, where they are not those of the options. */
  async #sendMany(
    values: readonly In[],
    options: AnyPublishOptions | undefined,
    headers: readonly MessageHeaders[] | undefined,
  ): Promise<Receipt[]> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    assertOneId(values.length, options);
    const checks: Promise<unknown>[] = [];
    for (const value of values) {
      const checked = this.#check(value);
      if (!(checked instanceof Promise)) continue;
      // The next value may be refused at once.
      checked.catch(() => undefined);
      checks.push(checked);
    }
    if (checks.length > 0) await unlessAborted(Promise.all(checks), signal);
    const nowMs = this.#core.engine.clock.nowMs();
    const messages = values.map((value, index) =>
      this.#message(value, withHeaders(options, headers?.[index]), nowMs),
    );
    const outlet = this.#readyOutlet(options) ?? (await unlessAborted(this.#outletFor(options), signal));
    this.#core.assertOpen();
    const appended = await appendAll(outlet, messages, signal);
    await untilCommitted(appended, signal);
    return appended.map((one) => new Receipt(one, nowMs, options?.id));
  }

  /** Undefined while handlers are being declared: a group must not miss what was published after `on`. */
  #readyOutlet(options: AnyPublishOptions | undefined): Outlet | undefined {
    if (options?.retain !== undefined) return undefined;
    if (this.#core.handlers.starting !== undefined || this.#outlet?.isGone === true) return undefined;
    return this.#outlet;
  }

  async #outletFor(options: AnyPublishOptions | undefined): Promise<Outlet> {
    if (options?.retain === undefined) return await this.#open();
    return await retaining(this.#core.engine, () => this.#open(), this.#origin.kind, options);
  }

  /** Everybody who waits here goes on in the order of the calls. */
  async #open(): Promise<Outlet> {
    this.#core.assertWritable();
    await this.#core.handlers.starting;
    if (this.#outlet?.isGone === true) {
      this.#outlet = undefined;
      this.#declaring = undefined;
    }
    this.#declaring ??= this.#core.declaring(this.#declare()).then(
      (outlet) => {
        this.#outlet = outlet;
        return outlet;
      },
      (error: unknown) => {
        this.#declaring = undefined;
        throw error;
      },
    );
    return await this.#declaring;
  }

  #check(value: In): unknown {
    const { schema, name } = this.#type;
    return schema === undefined ? undefined : validate(schema, name, value);
  }

  #message(value: In, options: AnyPublishOptions | undefined, nowMs: number): OutgoingMessage {
    const body = encodeValue(this.#type.codec, this.#type.name, value);
    return this.#maker.make(
      body,
      this.#type.key === undefined ? undefined : this.#key(value),
      nowMs,
      options,
    );
  }

  /** Errors: INVALID_PAYLOAD when the type's function gives no text: order by key would be lost without a word. */
  #key(value: In): string {
    let key: unknown;
    let cause: unknown;
    try {
      key = this.#type.key?.(value);
      if (typeof key === "string") return key;
    } catch (error) {
      cause = error;
    }
    const problem = cause === undefined ? `its key is no string but ${typeof key}` : describeThrown(cause);
    const { name } = this.#type;
    throw new BrokerError(
      "INVALID_PAYLOAD",
      `The key of this ${name} cannot be found: ${problem}.`,
      { type: name },
      cause,
    );
  }
}

function originOf<In>(type: EventType<In, unknown> | CommandType<In, unknown>): PublishOrigin {
  const target =
    type.kind === "event"
      ? ({ operation: "publish", kind: "topic", destination: type.topic } as const)
      : ({ operation: "send", kind: "queue", destination: type.queue } as const);
  return { ...target, subject: type.name, type: type as unknown as EventType | CommandType };
}
