// A queue of a history whose messages are moved on to another one, for as long as that is asked for.

import assert from "node:assert/strict";
import type { Stage } from "./stage.js";

export class Forwarding {
  readonly #stage: Stage;
  /** What is known; nothing while it is being changed. */
  #isOn: boolean | undefined = undefined;
  readonly operations = { forward: () => this.#toggle() };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Declares what is needed, in an engine that was opened. What was confirmed lasts. */
  async open(): Promise<void> {
    const { broker, plan, once } = this.#stage;
    if (!plan.isForwarding) return;
    const isOn = broker!.forwards.length > 0;
    if (this.#isOn !== undefined) assert.equal(isOn, this.#isOn, "whether a queue is forwarded is forgotten");
    const { deduplicateMs } = once;
    await broker!.declareQueue("relay", deduplicateMs === undefined ? {} : { deduplicateMs });
    await broker!.bind({ pattern: "relay", to: { kind: "queue", name: "relay" } });
    this.#isOn = isOn;
  }

  /** Everything is to be moved on. */
  async begin(): Promise<void> {
    if (this.#stage.plan.isForwarding && this.#isOn !== true) await this.#toggle();
  }

  checkDrained(): void {
    const left = this.#stage.broker!.queue("relay")?.unsettledCount ?? 0;
    assert.equal(left, 0, `${left} messages were not moved on`);
  }

  async #toggle(): Promise<void> {
    const { broker, random, world, plan } = this.#stage;
    if (!plan.isForwarding) return;
    const isOn = this.#isOn !== true;
    this.#isOn = undefined;
    const changed = this.#stage.follow(
      isOn ? broker!.declareForward({ queue: "relay", subject: "work" }) : broker!.removeForward("relay"),
      () => {
        this.#isOn = isOn;
      },
      () => undefined,
    );
    if (random.chance(0.7) || this.#stage.isDraining) await world.run(changed);
  }
}
