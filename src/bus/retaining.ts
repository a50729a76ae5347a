// Publishing what is also kept as the last message of its subject, for those who come later.

import type { OutgoingMessage } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { Engine, EngineAppended, EngineBroker } from "../engines/engine.js";
import type { PublishOrigin } from "./middleware.js";
import { invalidOption, notSupported } from "./option-checks.js";
import type { Outlet } from "./outlet.js";
import type { AnyPublishOptions } from "./publish-options.js";

/** `opening`, or, when the options ask for it, that and the retained messages as one. Errors: INVALID_OPTION, NOT_SUPPORTED. */
export async function retaining(
  engine: Engine,
  opening: () => Promise<Outlet>,
  kind: PublishOrigin["kind"],
  options: AnyPublishOptions | undefined,
): Promise<Outlet> {
  const isRetained = await openRetained(engine, kind, options);
  const outlet = await opening();
  return isRetained ? new RetainingOutlet(engine.broker, outlet) : outlet;
}

/** Whether the options ask for it; then messages can be retained from here on. Errors: INVALID_OPTION, NOT_SUPPORTED. */
export async function openRetained(
  engine: Engine,
  kind: PublishOrigin["kind"],
  options: AnyPublishOptions | undefined,
): Promise<boolean> {
  const { retain, delay, deliverAt } = options ?? {};
  if (retain === undefined || retain === false) return false;
  if (retain !== true) throw invalidOption("retain", retain, "true or false");
  if (!engine.capabilities.retained) throw notSupported(engine.name, "retained messages");
  if (kind === "queue")
    throw invalidOption("retain", retain, "it to events and topics; a queue has no last message");
  if (delay !== undefined || deliverAt !== undefined)
    throw new BrokerError(
      "INVALID_OPTION",
      "A message cannot be both retained and delayed: it is the last one of its subject when it is published.",
      { option: "retain" },
    );
  await engine.broker.retained.open();
  return true;
}

/** All that is handed over is stored and kept, or neither. */
class RetainingOutlet implements Outlet {
  readonly makesWait = false;
  readonly mustWait = false;
  readonly #broker: EngineBroker;
  readonly #outlet: Outlet;

  constructor(broker: EngineBroker, outlet: Outlet) {
    this.#broker = broker;
    this.#outlet = outlet;
  }

  get isGone(): boolean {
    return this.#outlet.isGone;
  }

  append(message: OutgoingMessage): EngineAppended {
    return this.appendAll([message])[0]!;
  }

  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[] {
    const appended: EngineAppended[] = [];
    this.#broker.atomically(() => {
      for (const message of messages) {
        const one = this.#outlet.append(message);
        appended.push(one);
        // A duplicate may be older than what is kept.
        if (one.firstSentMs === undefined) this.#broker.retained.append(message);
      }
    });
    return appended;
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}
