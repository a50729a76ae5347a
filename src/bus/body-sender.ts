// Sends bodies that have no message type: strings and bytes.

import { BrokerError } from "../broker-error.js";
import type { BusCore } from "./bus-core.js";
import { shown } from "./option-checks.js";
import { appendAll, type Outlet, untilCommitted } from "./outlet.js";
import { type AnyPublishOptions, assertOneId, MessageMaker } from "./publish-options.js";
import { Receipt } from "./receipt.js";

export class BodySender {
  readonly #core: BusCore;
  readonly #where: string;
  readonly #maker: MessageMaker;

  /** The subject is stored where it is not the name of the queue or topic. */
  constructor(core: BusCore, where: string, subject: string) {
    this.#core = core;
    this.#where = where;
    this.#maker = new MessageMaker(core.engine, subject, subject !== where, undefined);
  }

  /**
   * Hands all over in one go, so that they share a commit: all are taken or none. Resolves when all are durable.
   * Errors: INVALID_PAYLOAD, INVALID_OPTION, those of the outlet.
   */
  async sendMany(
    open: () => Promise<Outlet>,
    bodies: readonly (string | Uint8Array)[],
    options: AnyPublishOptions | undefined,
  ): Promise<Receipt[]> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    assertOneId(bodies.length, options);
    const nowMs = this.#core.engine.clock.nowMs();
    const messages = bodies.map((body) => {
      this.#assertBody(body);
      return this.#maker.make(body, undefined, nowMs, options);
    });
    this.#core.assertWritable();
    const outlet = await open();
    this.#core.assertOpen();
    const appended = await appendAll(outlet, messages, signal);
    await untilCommitted(appended, signal);
    return appended.map((one) => new Receipt(one, nowMs, options?.id));
  }

  #assertBody(body: unknown): void {
    if (typeof body === "string" || body instanceof Uint8Array) return;
    throw new BrokerError(
      "INVALID_PAYLOAD",
      `A body for ${this.#where} is ${shown(body)}; give a string or a Uint8Array, or use a command or event for values.`,
      { where: this.#where },
    );
  }
}
