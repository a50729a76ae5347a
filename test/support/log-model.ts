// What a log must hold after a crash, kept beside the real one.

import assert from "node:assert/strict";
import type { Durability, Log } from "../../src/log/log.js";
import type { PendingAppend } from "../../src/log/pending-append.js";

interface Appended {
  readonly log: Log | undefined;
  readonly value: string;
  readonly pending: PendingAppend | undefined;
  readonly index: number;
  /** Records of one atomic action share it. */
  readonly unit: number | undefined;
}

export class LogModel {
  readonly name: string;
  readonly durability: Durability;
  /** In the order in which they were appended. */
  #appended: Appended[] = [];
  #keptFrom = 0;

  constructor(name: string, durability: Durability) {
    this.name = name;
    this.durability = durability;
  }

  /** `index` is the place of the record in what it was appended with. */
  add(
    log: Log,
    value: string,
    pending: PendingAppend,
    unit: number | undefined,
    index = pending.recordCount - 1,
  ): void {
    this.#appended.push({ log, value, pending, index, unit });
  }

  /** Records before `offset` may be gone from here on. */
  deleteBefore(offset: number): void {
    this.#keptFrom = Math.max(this.#keptFrom, offset);
  }

  /** Everything committed must be readable at its offset while the process runs. */
  checkLive(values: ReadonlyMap<number, string>): void {
    for (const record of this.#appended) {
      if (stateOf(record) === "committed" && offsetOf(record) >= this.#keptFrom)
        this.#checkOffset(record, values);
    }
  }

  /**
   * After a crash: everything acknowledged, in order, at its offset, then perhaps some of what was under way, nothing
   * that was rejected. `endOffset` and `values` are those of the log; they become what it must hold from here on.
   */
  checkRecovered(
    endOffset: number,
    values: ReadonlyMap<number, string>,
    isPowerFailure: boolean,
    isInSeveralLogs: (unit: number) => boolean,
  ): void {
    const possible = this.#appended.filter((record) => stateOf(record) !== "rejected");
    const isLossy = isPowerFailure && this.durability === "written";
    const acknowledged = possible.filter((record) => stateOf(record) === "committed");
    const isJournaled = ({ unit }: Appended) => unit !== undefined && isInSeveralLogs(unit);
    const required = isLossy ? acknowledged.findLastIndex(isJournaled) + 1 : acknowledged.length;
    assert.ok(
      endOffset >= required,
      `${this.name}: ${endOffset} of ${required} acknowledged records are left`,
    );
    assert.ok(endOffset <= possible.length, `${this.name}: ${endOffset} records of ${possible.length}`);
    for (const [offset, value] of values)
      assert.equal(value, possible[offset]?.value, `${this.name} at ${offset}`);
    for (let offset = this.#keptFrom; offset < endOffset; offset += 1) {
      assert.ok(values.has(offset), `${this.name} at ${offset}`);
    }
    for (const [offset, record] of acknowledged.entries()) assert.equal(offsetOf(record), offset);
    this.#keptFrom = Math.min(this.#keptFrom, endOffset);
    this.#appended = possible
      .slice(0, endOffset)
      .map((record, index) => ({ ...record, log: undefined, pending: undefined, index }));
  }

  /** How many records of each unit there are. */
  get units(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const { unit } of this.#appended)
      if (unit !== undefined) counts.set(unit, (counts.get(unit) ?? 0) + 1);
    return counts;
  }

  #checkOffset(record: Appended, values: ReadonlyMap<number, string>): void {
    const offset = offsetOf(record);
    assert.equal(values.get(offset), record.value, `${this.name} at ${offset}`);
  }
}

function offsetOf({ pending, index }: Appended): number {
  return pending === undefined ? index : pending.baseOffset + index;
}

/** `unknown`: it was under way, or went down with its log. When only another log of its unit failed, it was not written. */
function stateOf({ pending, log }: Appended): "committed" | "rejected" | "unknown" {
  if (pending === undefined || pending.state === "committed") return "committed";
  if (pending.error === undefined) return "unknown";
  return pending.error === log?.failure ? "unknown" : "rejected";
}
