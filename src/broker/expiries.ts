// The expiry of everything that is open, begun together and ended together.

import { type ExpiryParts, SourceExpiry } from "./source-expiry.js";

export class Expiries {
  readonly #parts: ExpiryParts;
  /** By the id of their queue or topic. */
  readonly #sources = new Map<number, SourceExpiry>();
  #isStarted = false;

  constructor(parts: ExpiryParts) {
    this.#parts = parts;
  }

  /** Whether something is expiring, or is looked for. */
  get isBusy(): boolean {
    for (const source of this.#sources.values()) if (source.isBusy) return true;
    return false;
  }

  /** For a queue or topic of that id; `ageMaxMs` is undefined for no limit. Nothing expires before {@link start}. */
  of(id: number, ageMaxMs: number | undefined): SourceExpiry {
    const source = new SourceExpiry(id, ageMaxMs, this.#parts);
    if (this.#isStarted) source.start();
    this.#sources.set(id, source);
    return source;
  }

  /** The queue or topic was deleted. Resolves when nothing of it is expiring any more. */
  async end(id: number): Promise<void> {
    const source = this.#sources.get(id);
    this.#sources.delete(id);
    await source?.close();
  }

  /** Dead letters may be stored from now on. */
  start(): void {
    this.#isStarted = true;
    for (const source of this.#sources.values()) source.start();
  }

  /** Resolves when nothing is expiring any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.close()));
  }
}
