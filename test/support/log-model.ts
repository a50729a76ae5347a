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

  constructor(name: string, durability: Durability) {
    this.name = name;
    this.durability = durability;
  }

  add(log: Log, value: string, pending: PendingAppend, unit: number | undefined): void {
    this.#appended.push({ log, value, pending, index: pending.recordCount - 1, unit });
  }

  /** Everything committed, at its offset, and nothing else, must be readable while the process runs. */
  checkLive(values: ReadonlyMap<number, string>): void {
    const committed = this.#appended.filter((record) => stateOf(record) === "committed");
    assert.deepEqual(
      [...values.values()].slice(0, committed.length),
      committed.map((record) => record.value),
      this.name,
    );
    for (const record of committed) this.#checkOffset(record, values);
  }

  /**
   * After a crash: everything acknowledged, in order, at its offset, then perhaps some of what was under way, nothing
   * that was rejected for want of space. Becomes what the log must hold from here on.
   */
  checkRecovered(
    values: ReadonlyMap<number, string>,
    isPowerFailure: boolean,
    isInSeveralLogs: (unit: number) => boolean,
  ): void {
    const found = [...values.values()];
    const possible = this.#appended.filter((record) => stateOf(record) !== "rejected");
    const isLossy = isPowerFailure && this.durability === "written";
    const acknowledged = possible.filter((record) => stateOf(record) === "committed");
    const isJournaled = ({ unit }: Appended) => unit !== undefined && isInSeveralLogs(unit);
    const required = isLossy ? acknowledged.findLastIndex(isJournaled) + 1 : acknowledged.length;
    assert.ok(
      found.length >= required,
      `${this.name}: ${found.length} of ${required} acknowledged records are left`,
    );
    const expected = possible.slice(0, found.length).map((record) => record.value);
    const at = found.findIndex((value, i) => value !== expected[i]);
    assert.equal(at, -1, `${this.name} at ${at}: ${found[at]} instead of ${expected[at]}`);
    for (const record of acknowledged.slice(0, found.length)) this.#checkOffset(record, values);
    assert.deepEqual(
      [...values.keys()],
      found.map((_, offset) => offset),
      this.name,
    );
    this.#appended = possible
      .slice(0, found.length)
      .map((record, index) => ({ ...record, log: undefined, pending: undefined, index }));
  }

  get units(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const { unit } of this.#appended)
      if (unit !== undefined) counts.set(unit, (counts.get(unit) ?? 0) + 1);
    return counts;
  }

  #checkOffset(record: Appended, values: ReadonlyMap<number, string>): void {
    const offset = record.pending === undefined ? record.index : record.pending.baseOffset + record.index;
    assert.equal(values.get(offset), record.value, `${this.name} at ${offset}`);
  }
}

/** `unknown`: it was under way, or went down with its log. When only another log of its unit failed, it was not written. */
function stateOf({ pending, log }: Appended): "committed" | "rejected" | "unknown" {
  if (pending === undefined || pending.state === "committed") return "committed";
  if (pending.error === undefined) return "unknown";
  return pending.error === log?.failure ? "unknown" : "rejected";
}
