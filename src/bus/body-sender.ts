// Sends bodies that have no message type: strings and bytes.

import type { OutgoingMessage } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import { unlessAborted } from "./abortable.js";
import type { MessageHeaders, PublishOrigin } from "./middleware.js";
import { shown } from "./option-checks.js";
import { appendAll, appendWithRoom, type Outlet, type Prepared, untilCommitted } from "./outlet.js";
import type { ProducerTarget } from "./producer-target.js";
import { type AnyPublishOptions, assertOneId, MessageMaker, owned, withHeaders } from "./publish-options.js";
import { Receipt, receiptOf } from "./receipt.js";
import { refused } from "./refusal.js";
import { retaining } from "./retaining.js";
import type { SenderHost } from "./sender-host.js";

export class BodySender {
  readonly #core: SenderHost;
  readonly #where: string;
  readonly #origin: PublishOrigin;
  readonly #maker: MessageMaker;

  /** The subject is stored where it is not the name of the queue or topic that has the message. */
  constructor(core: SenderHost, kind: "queue" | "topic" | "exchange", where: string, subject: string) {
    this.#core = core;
    this.#where = where;
    const operation = kind === "queue" ? "send" : "publish";
    this.#origin = { operation, kind, destination: where, subject, type: undefined };
    const isStored = kind === "exchange" || subject !== where;
    this.#maker = new MessageMaker(core.engine, subject, isStored, undefined);
  }

  /** For a producer. `open` makes or finds what the bodies go to. */
  target(open: () => Promise<Outlet>): ProducerTarget<string | Uint8Array> {
    return {
      origin: this.#origin,
      message: (body, options) => this.#message(body, this.#core.engine.clock.nowMs(), options),
      open: (options) => this.#outlet(open, options),
    };
  }

  /**
   * Resolves when the message is durable. `ready` is what `open` would give, where that is known. Errors:
   * INVALID_PAYLOAD, INVALID_OPTION, those of the outlet.
   */
  send(
    open: () => Promise<Outlet>,
    body: string | Uint8Array,
    options: AnyPublishOptions | undefined,
    ready?: Outlet,
  ): Promise<Receipt> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return this.#send(open, body, options, ready);
    return middleware
      .publish(this.#origin, [body], options, async ([headers]) => [
        await this.#send(open, body, withHeaders(options, headers), ready),
      ])
      .then(([receipt]) => receipt!);
  }

  /** Hot: no promise but the one that is returned, where nothing has to be waited for but the commit. */
  #send(
    open: () => Promise<Outlet>,
    body: string | Uint8Array,
    options: AnyPublishOptions | undefined,
    ready: Outlet | undefined,
  ): Promise<Receipt> {
    try {
      options?.signal?.throwIfAborted();
      const message = this.#message(body, this.#core.engine.clock.nowMs(), options);
      this.#core.assertWritable();
      if (ready === undefined) this.#core.opening.assertRoom();
      if (ready === undefined || ready.mustWait || options?.retain !== undefined)
        return this.#sendLater(open, message, options);
      this.#core.assertOpen();
      return receiptOf(ready.append(message), message.timestampMs, options);
    } catch (error) {
      return refused(error);
    }
  }

  async #sendLater(
    open: () => Promise<Outlet>,
    message: OutgoingMessage,
    options: AnyPublishOptions | undefined,
  ): Promise<Receipt> {
    const signal = options?.signal;
    const outlet = await unlessAborted(this.#core.opening.wait(this.#outlet(open, options)), signal);
    this.#core.assertOpen();
    const appended = outlet.mustWait ? await appendWithRoom(outlet, message, signal) : outlet.append(message);
    return await receiptOf(appended, message.timestampMs, options);
  }

  /** See {@link Sender.prepare}. */
  async prepare(
    open: () => Promise<Outlet>,
    body: string | Uint8Array,
    options: AnyPublishOptions | undefined,
  ): Promise<Prepared> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return await this.#prepare(open, body, options);
    let prepared: Prepared | undefined;
    await middleware.publish(this.#origin, [body], options, async ([headers]) => {
      prepared = await this.#prepare(open, body, withHeaders(options, headers));
      return [];
    });
    return prepared!;
  }

  async #prepare(
    open: () => Promise<Outlet>,
    body: string | Uint8Array,
    options: AnyPublishOptions | undefined,
  ): Promise<Prepared> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const message = this.#message(body, this.#core.engine.clock.nowMs(), options);
    this.#core.assertWritable();
    return {
      outlet: await unlessAborted(this.#outlet(open, options), signal),
      message: owned(message),
      id: options?.id,
    };
  }

  /**
   * Hands all over in one go, so that they share a commit: all are taken or none. Resolves when all are durable.
   * Errors: INVALID_PAYLOAD, INVALID_OPTION, those of the outlet.
   */
  sendMany(
    open: () => Promise<Outlet>,
    bodies: readonly (string | Uint8Array)[],
    options: AnyPublishOptions | undefined,
  ): Promise<Receipt[]> {
    const { middleware } = this.#core;
    if (middleware.publishing === undefined) return this.#sendMany(open, bodies, options, undefined);
    return middleware.publish(this.#origin, bodies, options, (headers) =>
      this.#sendMany(open, bodies, options, headers),
    );
  }

  async #sendMany(
    open: () => Promise<Outlet>,
    bodies: readonly (string | Uint8Array)[],
    options: AnyPublishOptions | undefined,
    headers: readonly MessageHeaders[] | undefined,
  ): Promise<Receipt[]> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    assertOneId(bodies.length, options);
    const nowMs = this.#core.engine.clock.nowMs();
    const messages = bodies.map((body, index) =>
      this.#message(body, nowMs, withHeaders(options, headers?.[index])),
    );
    this.#core.assertWritable();
    const outlet = await unlessAborted(this.#outlet(open, options), signal);
    this.#core.assertOpen();
    const appended = await appendAll(outlet, messages, signal);
    await untilCommitted(appended, signal);
    return appended.map((one) => new Receipt(one, nowMs, options?.id));
  }

  async #outlet(open: () => Promise<Outlet>, options: AnyPublishOptions | undefined): Promise<Outlet> {
    if (options?.retain === undefined) return await open();
    return await retaining(this.#core.engine, open, this.#origin.kind, options);
  }

  #message(body: unknown, nowMs: number, options: AnyPublishOptions | undefined): OutgoingMessage {
    assertBody(this.#where, body);
    return this.#maker.make(body, undefined, nowMs, options);
  }
}

/** Errors: INVALID_PAYLOAD. */
export function assertBody(where: string, body: unknown): asserts body is string | Uint8Array {
  if (typeof body === "string" || body instanceof Uint8Array) return;
  throw new BrokerError(
    "INVALID_PAYLOAD",
    `A body for ${where} is ${shown(body)}; give a string or a Uint8Array, or use a command or event for values.`,
    { where },
  );
}
