// What a delivery state has to tell the log of settlements, in the form in which it is stored there. The format is
// described in docs/formats/settlements.md.

import { RangeSet } from "../collections/range-set.js";
import type { Failures, StoredFailure } from "./failures.js";

/** A half-open range of offsets. */
export type OffsetRange = [start: number, end: number];

/** One step of a delivery state, as it is stored. A field is left out when it has nothing to say. */
export interface DeliveryChanges {
  /** The first offset that was never looked at. */
  n: number;
  /** From this offset on there was nothing when this was written: what was said before about it is void. */
  c?: number;
  /** Settled. */
  s?: OffsetRange[];
  /** Below `n` and not in flight any more: waiting again, held back, or in line for their key. */
  h?: OffsetRange[];
  /** In flight again: no longer as `h` said. */
  u?: OffsetRange[];
  /** Failures that are new or have changed. */
  f?: StoredFailure[];
  /** Body bytes of the messages below an offset that were not settled. */
  b?: [below: number, bytes: number];
}

/** Changes of ranges that were not stored yet. */
export class UnsavedRanges {
  readonly settled = new RangeSet();
  readonly #held = new RangeSet();
  readonly #taken = new RangeSet();
  #cutAt: number | undefined = undefined;

  /** Nothing at or after `offset` is there any more. */
  cut(offset: number): void {
    this.#cutAt = offset;
  }

  hold(offset: number): void {
    this.#held.add(offset);
    this.#taken.removeRange(offset, offset + 1);
  }

  take(offset: number): void {
    this.#taken.add(offset);
    this.#held.removeRange(offset, offset + 1);
  }

  /** Moves everything into `changes`. */
  drainInto(changes: DeliveryChanges): void {
    if (this.#cutAt !== undefined) changes.c = this.#cutAt;
    if (this.settled.size > 0) changes.s = this.settled.toPairs();
    if (this.#held.size > 0) changes.h = this.#held.toPairs();
    if (this.#taken.size > 0) changes.u = this.#taken.toPairs();
    this.settled.clear();
    this.#held.clear();
    this.#taken.clear();
    this.#cutAt = undefined;
  }
}

/** How much of a whole state goes into one record. */
const RANGES_PER_STEP = 20_000;
const FAILURES_PER_STEP = 500;

/**
 * A whole state as steps of bounded size, to be applied on top of earlier ones that led to the same state. The steps
 * with ranges have to be stored together; failures are looked up when their step is asked for.
 */
export function* wholeState(
  first: DeliveryChanges,
  settled: readonly OffsetRange[],
  held: readonly OffsetRange[],
  failures: Failures,
): Generator<DeliveryChanges> {
  const { n } = first;
  yield first;
  for (const s of parts(settled, RANGES_PER_STEP)) yield { n, s };
  for (const h of parts(held, RANGES_PER_STEP)) yield { n, h };
  for (const offsets of parts(failures.offsets(), FAILURES_PER_STEP))
    yield { n, f: failures.toStored(offsets) };
}

function* parts<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
