// Sends bodies that have no message type: strings and bytes.

import { BrokerError } from "../broker-error.js";
import type { EngineAppended } from "../engines/engine.js";
import type { Clock } from "../io/io.js";
import { abortable } from "./abortable.js";
import type { Outlet } from "./outlet.js";
import type { AnyPublishOptions, MessageMaker } from "./publish-options.js";
import { Receipt } from "./receipt.js";

export class BodySender {
  readonly #where: string;
  readonly #maker: MessageMaker;
  readonly #clock: Clock;

  constructor(where: string, maker: MessageMaker, clock: Clock) {
    this.#where = where;
    this.#maker = maker;
    this.#clock = clock;
  }

  /** Hands all over in one go, so that they share a commit. Resolves when all are durable. Errors: INVALID_PAYLOAD, INVALID_OPTION, those of the outlet. */
  async sendMany(
    outlet: Outlet,
    bodies: readonly (string | Uint8Array)[],
    options: AnyPublishOptions | undefined,
  ): Promise<Receipt[]> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (options?.id !== undefined && bodies.length > 1) {
      throw new BrokerError(
        "INVALID_OPTION",
        "One id cannot be given to several messages; send them one by one.",
        { option: "id" },
      );
    }
    for (const body of bodies) this.#assertBody(body);
    const nowMs = this.#clock.nowMs();
    const appended: EngineAppended[] = [];
    for (const body of bodies) {
      if (outlet.mustWait) await outlet.waitForRoom(signal);
      appended.push(outlet.append(this.#maker.make(body, undefined, nowMs, options)));
    }
    await committed(appended, signal);
    return appended.map((one) => new Receipt(one, nowMs, options?.id));
  }

  #assertBody(body: unknown): void {
    if (typeof body === "string" || body instanceof Uint8Array) return;
    const shown = body === null ? "null" : `a ${typeof body}`;
    throw new BrokerError(
      "INVALID_PAYLOAD",
      `A body for ${this.#where} is ${shown}; give a string or a Uint8Array, or use a command or event for values.`,
      { where: this.#where },
    );
  }
}

/** Resolves when every message is durable. Messages of one batch share a promise, so few are waited for. */
export async function committed(
  appended: readonly EngineAppended[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const commits = new Set<Promise<void>>();
  for (const { committed } of appended) commits.add(committed);
  const all = Promise.all(commits);
  await (signal === undefined ? all : abortable(all, signal));
}
