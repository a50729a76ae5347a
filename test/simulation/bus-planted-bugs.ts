// Bugs for a copy of the compiled bus, as planted-bugs.ts has them for what is below it.

import type { PlantedBug } from "./planted-bugs.js";

export const BUS_PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "acknowledge before the handler has answered",
    file: "bus/single-registration.js",
    find: "pending.then((outcome) => {",
    replace: "this.conclude(delivery, undefined);\n        pending.then((outcome) => {",
  },
  {
    name: "lose what a handler sends with its answer",
    file: "bus/single-registration.js",
    find: "return context.outbox;",
    replace: "{ this.conclude(delivery, returned); return undefined; }",
  },
  {
    name: "give up a message whose handler throws",
    file: "bus/registration.js",
    find: "this.#nack(delivery, decision.delayMs, error);",
    replace: "this.#ack(delivery);",
  },
  {
    name: "retry at once",
    file: "bus/registration.js",
    find: "this.#nack(delivery, decision.delayMs, error);",
    replace: "this.#nack(delivery, 0, error);",
  },
  {
    name: "acknowledge all of a batch though one of it failed",
    file: "bus/batch-registration.js",
    find: "this.fail(delivery, answer.reason);",
    replace: "this.conclude(delivery, undefined);",
  },
  {
    name: "store what belongs together in two steps",
    file: "bus/outbox.js",
    find: "this.#host.engine.broker.commit(this.#deliveries, append);",
    replace:
      "Promise.all([this.#host.engine.broker.commit([], append), this.#host.engine.broker.commit(this.#deliveries, () => [])]);",
  },
  {
    name: "listen to a handler whose time is over",
    file: "bus/call.js",
    find: "this.isOver = true;",
    replace: "",
  },
  {
    name: "let later messages of a key pass one that is retried",
    file: "bus/registration.js",
    find: "keepsTurn: this.settings.keepsTurn",
    replace: "keepsTurn: false",
  },
  {
    name: "hold what a handler that closes gives back",
    file: "bus/consumption.js",
    find: "if (this.#isLast(registration))\n            this.#leave();",
    replace: "",
  },
  {
    name: "answer a producer before its message is stored",
    file: "bus/hand-over.js",
    find: "        committed.then(() => {",
    replace: "        Promise.resolve().then(() => {",
  },
  {
    name: "leave a question open when its time is over",
    file: "bus/requests.js",
    find: "const timer = this.#core.engine.clock.setTimer(late, timeoutMs);",
    replace: "const timer = { cancel: () => undefined };",
  },
];
