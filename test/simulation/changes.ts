// Changes of what exists in a history: pausing and resuming.

import assert from "node:assert/strict";
import type { SourceModel } from "../support/source-model.js";
import type { Stage } from "./stage.js";

export class Changes {
  readonly #stage: Stage;
  /** What is known of who is paused; nothing while that is being changed. */
  readonly #paused = new Map<SourceModel, boolean>();
  readonly operations = { pause: () => this.#setPaused(true), resume: () => this.#setPaused(false) };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The engine was opened. What was confirmed lasts. */
  check(): void {
    for (const source of this.#stage.sources) {
      const { isPaused } = this.#stage.dispatcherOf(source);
      const known = this.#paused.get(source) ?? isPaused;
      assert.equal(
        isPaused,
        known,
        `${source.name} was ${known ? "paused" : "resumed"}, and that is forgotten`,
      );
      this.#now(source, isPaused);
    }
  }

  /** Everything is to be handed out. */
  async resumeAll(): Promise<void> {
    for (const source of this.#stage.sources) await this.#change(source, false);
  }

  async #setPaused(isPaused: boolean): Promise<void> {
    const source = this.#stage.random.pick(this.#stage.sources);
    this.#stage.trace(`    ${source.name}`);
    await this.#change(source, isPaused);
  }

  async #change(source: SourceModel, isPaused: boolean): Promise<void> {
    const { broker, work, world } = this.#stage;
    this.#paused.delete(source);
    source.isPaused = false;
    const isQueue = source === work;
    const verb = isPaused ? "pause" : "resume";
    const change = isQueue
      ? broker![`${verb}Queue`]("work")
      : broker![`${verb}Subscription`]("order", "mail");
    const changed = this.#stage.follow(
      change,
      () => this.#now(source, isPaused),
      () => undefined,
    );
    await world.run(changed);
  }

  #now(source: SourceModel, isPaused: boolean): void {
    this.#paused.set(source, isPaused);
    source.isPaused = isPaused;
  }
}
