// The expiry of everything that is open, begun together and ended together.

import { type ExpiryParts, SourceExpiry } from "./source-expiry.js";

export class Expiries {
  readonly #parts: ExpiryParts;
  readonly #sources: SourceExpiry[] = [];
  #isStarted = false;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
  }

  /** Whether something is expiring, or is looked for. */
  get isBusy(): boolean {
    return this.#sources.some(({ isBusy }) => isBusy);
  }

  /** For a queue or topic of that id; `ageMaxMs` is undefined for no limit. Nothing expires before {@link start}. */
  of(id: number, ageMaxMs: number | undefined): SourceExpiry {
    const source = new SourceExpiry(id, ageMaxMs, this.#parts);
    if (this.#isStarted) source.start();
    this.#sources.push(source);
    return source;
  }

  /** Dead letters may be stored from now on. */
  start(): void {
    this.#isStarted = true;
    for (const source of this.#sources) source.start();
  }

  /** Resolves when nothing is expiring any more. */
  async close(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.close()));
  }
}
