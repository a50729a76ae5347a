// What goes over the bus of a history, and where to.

import { type CommandType, command, type EventType, event } from "../../src/index.js";

export interface Body {
  /** Of the message in the model. */
  readonly number: number;
  readonly key: string;
  readonly filler: string;
}

export const BILLING = "order/billing";
export const MAIL = "order/mail";

export const Placed: EventType<Body> = event<Body>("order.placed", { key: ({ key }) => key });
export const Work: CommandType<Body> = command<Body>("work", { key: ({ key }) => key });
export const Result: CommandType<Body> = command<Body>("result", { key: ({ key }) => key });
export const Ask: CommandType<Body, Body, number> = command<Body, Body, number>("ask", {
  key: ({ key }) => key,
});
/** Received by hand. */
export const Held: CommandType<Body> = command<Body>("held", { key: ({ key }) => key });
/** Sent by a schedule. */
export const Tick: CommandType<string> = command<string>("tick");

export type Type = typeof Placed | typeof Work | typeof Ask;

/** Where messages of the type go. */
export function placesOf(type: Type): readonly string[] {
  return type.kind === "event" ? [BILLING, MAIL] : [type.queue];
}
