// Where a queue forwards its messages to, as applications write it.

import { BUS_EXCHANGE } from "../broker/binding.js";
import type { Bindable } from "./binding.js";
import type { BusCore } from "./bus-core.js";
import { assertKind, type EventType } from "./message-type.js";
import { invalidOption, knownOptions } from "./option-checks.js";

/** An event, whose groups get the messages; or an exchange, or a subject of the bus. */
export type ForwardTarget =
  | {
      readonly event: Pick<EventType, "kind" | "name" | "topic">;
      readonly subject?: never;
      readonly exchange?: never;
    }
  | {
      readonly event?: never;
      /** Under which subject. @default each message's own, which is the name of the queue for what was sent to it by name */
      readonly subject?: string;
      /** The exchange, or its name. @default the bus itself */
      readonly exchange?: string | Bindable;
    };

/** Forwards what is in the queue, which is there. Errors: INVALID_OPTION, INVALID_SUBJECT, EXCHANGE_NOT_FOUND, FORWARD_MISMATCH. */
export async function forwardTo(core: BusCore, queue: string, target: ForwardTarget): Promise<void> {
  const { event, subject, exchange } = knownOptions("forwardTo", target, ["event", "subject", "exchange"]);
  const { broker } = core.engine;
  if (event === undefined) {
    await broker.declareForward({ queue, subject, exchange: await exchangeName(exchange) });
    return;
  }
  assertKind("event", event, "forwardTo");
  if (subject !== undefined || exchange !== undefined)
    throw invalidOption("event", event, "an event, or a subject and an exchange");
  await core.senders.declareEvent(event);
  await broker.declareForward({ queue, subject: event.name, exchange: BUS_EXCHANGE });
}

async function exchangeName(exchange: string | Bindable = BUS_EXCHANGE): Promise<string> {
  if (typeof exchange === "string") return exchange;
  if (exchange?.kind !== "exchange") throw invalidOption("exchange", exchange, "an exchange or its name");
  await exchange.declare();
  return exchange.name;
}
