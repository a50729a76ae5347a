// Middleware: what it is given, what it may answer. Compiled with everything else; never run.

import {
  ack,
  type BatchItem,
  type Bus,
  type CommandType,
  type EventType,
  type HandleResults,
  type Middleware,
  type Receipt,
  type UnsentMessage,
} from "../../src/index.js";
import { type Equal, isTrue } from "./check.js";

export function contexts(bus: Bus): void {
  const same = bus.use({
    async publish(context, next) {
      isTrue<Equal<typeof context.operation, "publish" | "send">>();
      isTrue<Equal<typeof context.messages, readonly UnsentMessage[]>>();
      isTrue<Equal<typeof context.type, EventType | CommandType | undefined>>();
      context.messages[0]!.headers["a"] = "b";
      // @ts-expect-error the payload is not middleware's to replace
      context.messages[0]!.value = 1;
      // @ts-expect-error headers are texts
      context.messages[0]!.headers["a"] = 1;
      const receipts = await next();
      isTrue<Equal<typeof receipts, readonly Receipt[]>>();
    },
    async handle(context, next) {
      isTrue<Equal<typeof context.group, string | undefined>>();
      isTrue<Equal<typeof context.messages, readonly BatchItem<unknown>[]>>();
      isTrue<Equal<typeof context.signal, AbortSignal>>();
      const results = await next();
      isTrue<Equal<typeof results, HandleResults>>();
    },
  });
  isTrue<Equal<typeof same, Bus>>();
}

export function answers(bus: Bus): void {
  bus.use({ publish: (_, next) => next(), handle: (_, next) => next() });
  bus.use({ handle: () => ack() });
  bus.use({ handle: async () => ack() });
  bus.use({ handle: async (_, next) => (await next()).slice() });
  // @ts-expect-error a text is no outcome
  bus.use({ handle: () => "ack" });
  // @ts-expect-error there is no such hook
  bus.use({ deliver: () => {} } satisfies Middleware);
}
