// Publishes one type of event or sends one type of command: checks, encodes, hands over, waits for the commit.

import { BrokerError } from "../broker-error.js";
import type { EngineAppended } from "../engines/engine.js";
import type { Clock } from "../io/io.js";
import { abortable } from "./abortable.js";
import { committed } from "./body-sender.js";
import { encodeValue } from "./codec.js";
import type { CommandType, EventType, MessageType } from "./message-type.js";
import type { Outlet } from "./outlet.js";
import { type AnyPublishOptions, MessageMaker } from "./publish-options.js";
import { Receipt } from "./receipt.js";
import { validate } from "./schema.js";

export class Sender<In> {
  readonly #type: MessageType<In, unknown>;
  readonly #maker: MessageMaker;
  readonly #outlet: Outlet;
  readonly #clock: Clock;

  constructor(type: EventType<In, unknown> | CommandType<In, unknown>, outlet: Outlet, clock: Clock) {
    const isSubjectStored = type.kind === "event" || type.queue !== type.name;
    this.#type = type;
    this.#maker = new MessageMaker(type.name, isSubjectStored, type.codec.contentType);
    this.#outlet = outlet;
    this.#clock = clock;
  }

  /** Resolves when the message is as durable as its queue or topic. */
  async send(value: In, options: AnyPublishOptions | undefined): Promise<Receipt> {
    options?.signal?.throwIfAborted();
    const checked = this.#check(value);
    if (checked instanceof Promise) await checked;
    if (this.#outlet.mustWait) await this.#outlet.waitForRoom(options?.signal);
    const nowMs = this.#clock.nowMs();
    const appended = this.#append(value, nowMs, options);
    await (options?.signal === undefined
      ? appended.committed
      : abortable(appended.committed, options.signal));
    return new Receipt(appended, nowMs, options?.id);
  }

  /** Hands all over in one go, so that they share a commit. All or none are taken if one of them is refused by a check. */
  async sendMany(values: readonly In[], options: AnyPublishOptions | undefined): Promise<Receipt[]> {
    options?.signal?.throwIfAborted();
    if (options?.id !== undefined && values.length > 1)
      throw new BrokerError(
        "INVALID_OPTION",
        "One id cannot be given to several messages; send them one by one.",
        { option: "id" },
      );
    for (const value of values) {
      const checked = this.#check(value);
      if (checked instanceof Promise) await checked;
    }
    const bodies = values.map((value) => encodeValue(this.#type.codec, this.#type.name, value));
    const appended: EngineAppended[] = [];
    const nowMs = this.#clock.nowMs();
    for (const [index, body] of bodies.entries()) {
      if (this.#outlet.mustWait) await this.#outlet.waitForRoom(options?.signal);
      appended.push(
        this.#outlet.append(this.#maker.make(body, this.#type.key?.(values[index]!), nowMs, options)),
      );
    }
    await committed(appended, options?.signal);
    return appended.map((one) => new Receipt(one, nowMs, options?.id));
  }

  #check(value: In): unknown {
    const { schema, name } = this.#type;
    return schema === undefined ? undefined : validate(schema, name, value);
  }

  #append(value: In, nowMs: number, options: AnyPublishOptions | undefined): EngineAppended {
    const body = encodeValue(this.#type.codec, this.#type.name, value);
    return this.#outlet.append(this.#maker.make(body, this.#type.key?.(value), nowMs, options));
  }
}
