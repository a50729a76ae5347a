// What a transaction may leave: all of it or nothing, whatever comes in between.

import assert from "node:assert/strict";

interface Transaction {
  /** By source and message: what it settles, and what it publishes. */
  readonly inputs: ReadonlySet<string>;
  readonly outputs: ReadonlySet<string>;
  hasSeenInput: boolean;
  hasSeenOutput: boolean;
}

export class TransactionModel {
  readonly #byInput = new Map<string, Transaction[]>();
  readonly #byOutput = new Map<string, Transaction>();

  /** It is being committed. */
  begin(inputs: Iterable<string>, outputs: Iterable<string>): void {
    const transaction = {
      inputs: new Set(inputs),
      outputs: new Set(outputs),
      hasSeenInput: false,
      hasSeenOutput: false,
    };
    for (const input of transaction.inputs)
      this.#byInput.set(input, [...(this.#byInput.get(input) ?? []), transaction]);
    for (const output of transaction.outputs) this.#byOutput.set(output, transaction);
  }

  /** Somebody sees to it that it comes again: that says nothing of what was to settle it. */
  forget(message: string): void {
    this.#byInput.delete(message);
  }

  /** A message came after all: no transaction that was to settle it has left anything. */
  delivered(message: string): void {
    const asOutput = this.#byOutput.get(message);
    if (asOutput !== undefined) asOutput.hasSeenOutput = true;
    for (const transaction of this.#byInput.get(message) ?? []) transaction.hasSeenInput = true;
    for (const transaction of [asOutput, ...(this.#byInput.get(message) ?? [])])
      assert.ok(
        transaction === undefined || !transaction.hasSeenInput || !transaction.hasSeenOutput,
        `half of a transaction: ${[...(transaction?.inputs ?? [])].join(", ")} came again beside ${[...(transaction?.outputs ?? [])].join(", ")}`,
      );
  }
}
