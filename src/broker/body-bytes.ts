// How many body bytes a queue holds, counted as messages come and go.

/** How many body bytes are committed to a log at most before their sum is stored again. */
export const STEP_BYTES = 4 * 1024 * 1024;

/** The body bytes of the unsettled messages of one log. */
export class BodyBytes {
  /** Of the messages that are committed and not settled. */
  unsettled = 0;
  /** What was stored last, and for the offsets below which. */
  stored: readonly [below: number, bytes: number] = [0, 0];
  #inFlight = 0;
  #unstored = 0;

  /** Returns whether it is time to store the sum. */
  committed(bytes: number): boolean {
    this.unsettled += bytes;
    this.#unstored += bytes;
    return this.#unstored >= STEP_BYTES;
  }

  taken(bytes: number): void {
    this.#inFlight += bytes;
  }

  putBack(bytes: number): void {
    this.#inFlight -= bytes;
  }

  /** A message that was in flight is. */
  settled(bytes: number): void {
    this.#inFlight -= bytes;
    this.unsettled -= bytes;
  }

  /** Everything that is not in flight was settled. */
  purged(): void {
    this.unsettled = this.#inFlight;
  }

  /** The sum, which is being stored. `below` is the first offset that it does not count. */
  store(below: number): [below: number, bytes: number] {
    this.#unstored = 0;
    this.stored = [below, this.unsettled];
    return [below, this.unsettled];
  }

  /** There is nothing at or after `end`: a sum over more is void. */
  cut(end: number): void {
    if (this.stored[0] > end) this.stored = [0, 0];
  }
}
