// The dead letters of a history: each has a cause, none is lost, and what is sent back comes again.

import assert from "node:assert/strict";
import type { DeadLetter } from "../../src/broker/dead-letters.js";
import type { SourceModel } from "../support/source-model.js";
import type { Publishers } from "./publishers.js";
import type { Stage } from "./stage.js";

interface FoundLetter extends DeadLetter {
  /** Where it died. */
  readonly model: SourceModel;
  /** Of the message. */
  readonly id: string;
}

export class Letters {
  readonly #stage: Stage;
  readonly #publishers: Publishers;
  /** What was looked at before. */
  readonly #known = new Set<string>();
  readonly operations = { replay: () => this.#return("replay"), discard: () => this.#return("discard") };

  constructor(stage: Stage, publishers: Publishers) {
    this.#stage = stage;
    this.#publishers = publishers;
  }

  /** Reads all of them. What is found for the first time has to have a cause. */
  async read(): Promise<FoundLetter[]> {
    const { sources, world, broker } = this.#stage;
    const collect = async (): Promise<FoundLetter[]> => {
      const found: FoundLetter[] = [];
      for await (const letter of broker!.deadLetters.list()) {
        const model = sources.find(({ names }) => names.includes(letter.queue.deadLettersOf!))!;
        found.push({ ...letter, model, id: letter.record.valueText() });
      }
      return found;
    };
    const before = sources.flatMap(({ name, dead }) => dead.map((id) => `${name} ${id}`));
    const letters = await world.run(collect());
    const all = new Set(letters.map(({ model, id }) => `${model.name} ${id}`));
    for (const known of before) assert.ok(all.has(known), `the dead letter of ${known} is lost`);
    for (const letter of letters) this.#check(letter);
    return letters;
  }

  #check({ model, id, history, queue, record }: FoundLetter): void {
    const place = `${queue.name} ${record.offset} ${id}`;
    if (this.#known.has(place)) return;
    const entry = history.at(-1)!;
    assert.equal(entry.source, queue.deadLettersOf, `the dead letter of ${id} names another source`);
    if (entry.reason === "expired") this.#publishers.checkExpired(id);
    model.foundDead(id, entry);
    this.#known.add(place);
  }

  async #return(how: "replay" | "discard"): Promise<void> {
    const { world, random, trace, broker } = this.#stage;
    await world.step(random.below(40));
    const letters = (await this.read()).filter(() => random.chance(0.5));
    for (const { model, id } of letters) model.leaving(id, how);
    trace(`    ${letters.map(({ id }) => id).join(", ")}`);
    const { deadLetters } = broker!;
    const returning = how === "replay" ? deadLetters.replay(letters) : deadLetters.discard(letters);
    const count = await world.run(returning).catch((error: unknown) => {
      for (const { model, id } of letters) model.maybeReplayed(id);
      throw error;
    });
    assert.equal(count, letters.length);
  }
}
