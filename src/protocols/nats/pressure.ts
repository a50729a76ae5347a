// Holding publishers back while those that they publish to have more waiting for them than they should: for a moment, so
// that whoever reads gets on, and whoever does not is cut at last without having cost the others much.

import type { Clock, Timer } from "../../io/io.js";

/** How long a client that takes nothing may hold publishers back, each time that it has fallen behind. */
const HOLD_MS = 100;

/** A client for whom much waits. */
export interface Behind {
  /** Whether publishers were held back long enough for it; until it has caught up. */
  isGivenUp: boolean;
}

/** Who publishes. */
export interface Held {
  /** Reads nothing more. */
  hold(): void;
  /** Goes on. */
  release(): void;
}

export class Pressure {
  readonly #clock: Clock;
  /** Those that fell behind since this was last asked for. */
  readonly #fresh = new Set<Behind>();
  readonly #heldBy = new Map<Behind, Set<Held>>();
  readonly #timers = new Map<Behind, Timer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Hot while somebody is behind: more than it should waits for it. */
  fellBehind(behind: Behind): void {
    if (!behind.isGivenUp) this.#fresh.add(behind);
  }

  /** Hot: asked after each chunk that was read. Holds `publisher` back when somebody fell behind by it. Returns whether it did. */
  holdBack(publisher: Held): boolean {
    if (this.#fresh.size === 0) return false;
    for (const behind of this.#fresh) this.#hold(publisher, behind);
    this.#fresh.clear();
    return true;
  }

  /** It has room again, or is gone. */
  caughtUp(behind: Behind): void {
    behind.isGivenUp = false;
    this.#fresh.delete(behind);
    this.#release(behind);
  }

  /** It is gone. */
  forget(publisher: Held): void {
    for (const held of this.#heldBy.values()) held.delete(publisher);
  }

  #hold(publisher: Held, behind: Behind): void {
    const held = this.#heldBy.get(behind);
    if (held !== undefined) {
      if (held.has(publisher)) return;
      held.add(publisher);
    } else {
      this.#heldBy.set(behind, new Set([publisher]));
      this.#timers.set(
        behind,
        this.#clock.setTimer(() => this.#giveUp(behind), HOLD_MS, true),
      );
    }
    publisher.hold();
  }

  #giveUp(behind: Behind): void {
    behind.isGivenUp = true;
    this.#release(behind);
  }

  #release(behind: Behind): void {
    const held = this.#heldBy.get(behind);
    if (held === undefined) return;
    this.#heldBy.delete(behind);
    this.#timers.get(behind)?.cancel();
    this.#timers.delete(behind);
    for (const publisher of held) publisher.release();
  }
}
