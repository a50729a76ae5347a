// A bit of everything that a bus does, ten times a second: the load of `bench soak`.

import type { Bus, EmbeddedCapabilities } from "../../src/index.js";
import { passingParts } from "./passing-parts.js";
import { storedParts } from "./stored-parts.js";

export type EmbeddedBus = Bus<EmbeddedCapabilities>;

/** One kind of use. */
export interface Part {
  readonly name: string;
  /** What is done every tenth of a second. `tick` counts them. */
  tick(tick: number): Promise<void>;
  /** Lets go of what is open, so that everything can drain. */
  close?(): Promise<void>;
}

/** What the load has done. */
export class Tally {
  published = 0;
  handled = 0;
  /** Errors that no part expects, the first few of them. */
  readonly errors: string[] = [];
  errorCount = 0;

  fail(where: string, error: unknown): void {
    this.errorCount += 1;
    const text = error instanceof Error ? error.message : String(error);
    if (this.errors.length < 10) this.errors.push(`${where}: ${text}`);
  }
}

const TICK_MS = 100;

export class MixedLoad {
  readonly tally: Tally;
  readonly #parts: readonly Part[];
  readonly #running = new Map<Part, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #tick = 0;
  /** Ticks of a part that were left out, because the one before had not ended. */
  late = 0;

  constructor(parts: readonly Part[], tally: Tally) {
    this.tally = tally;
    this.#parts = parts;
    this.#timer = setInterval(() => this.#step(), TICK_MS);
  }

  /** `rate` is how many messages each part sends in a tick, about. */
  static async start(bus: EmbeddedBus, rate: number, tally: Tally): Promise<MixedLoad> {
    const parts = [...(await storedParts(bus, rate, tally)), ...(await passingParts(bus, rate, tally))];
    return new MixedLoad(parts, tally);
  }

  get partNames(): readonly string[] {
    return this.#parts.map(({ name }) => name);
  }

  /** Resolves when what was begun has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#running.values());
    for (const part of this.#parts) await part.close?.();
  }

  #step(): void {
    this.#tick += 1;
    for (const part of this.#parts) {
      if (this.#running.has(part)) {
        this.late += 1;
        continue;
      }
      const ended = part
        .tick(this.#tick)
        .catch((error: unknown) => this.tally.fail(part.name, error))
        .finally(() => this.#running.delete(part));
      this.#running.set(part, ended);
    }
  }
}
