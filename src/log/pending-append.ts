// What was appended to a log and is not committed yet, and the units in which it must be.

import type { BrokerError } from "../broker-error.js";
import type { BatchBuilder } from "./batch-builder.js";

/**
 * The batch that an append joined, shared by all that join it until it is committed. Record `i` of it gets the
 * offset `baseOffset + i`.
 */
export class PendingAppend {
  /** The first offset, valid once it is committed. */
  baseOffset: number;
  /** So far; the record that was appended last is at `recordCount - 1`. */
  recordCount: number;
  state: "pending" | "committed" | "failed";
  /** Why it failed: DISK_FULL, STORAGE_FAILED, CLOSED. */
  error: BrokerError | undefined;
  /** What gathers the records; undefined when they came encoded, or have been taken. */
  builder: BatchBuilder | undefined;
  /** Batches that came encoded: a copy of the caller's. */
  encoded: Buffer | undefined;
  /** Counted when nothing more can join. */
  sizeBytes: number;
  /** What it counts as against the bound of what is pending; set when nothing more can join. */
  chargedBytes: number;
  /** Set when it must be committed together with others. */
  unit: AtomicUnit | undefined;
  private promise: Promise<void> | undefined;
  private resolve: (() => void) | undefined;
  private reject: ((error: BrokerError) => void) | undefined;

  constructor(builder: BatchBuilder | undefined, encoded: Buffer | undefined) {
    this.baseOffset = -1;
    this.recordCount = 0;
    this.state = "pending";
    this.error = undefined;
    this.builder = builder;
    this.encoded = encoded;
    this.sizeBytes = encoded === undefined ? 0 : encoded.length;
    this.chargedBytes = 0;
    this.unit = undefined;
    this.promise = undefined;
    this.resolve = undefined;
    this.reject = undefined;
  }

  /** One record that was committed before. */
  static committedAt(offset: number): PendingAppend {
    const pending = new PendingAppend(undefined, undefined);
    pending.baseOffset = offset;
    pending.recordCount = 1;
    pending.state = "committed";
    return pending;
  }

  /** Resolves when the records have reached the level of their log and are readable; rejects with `error`. */
  get committed(): Promise<void> {
    this.promise ??= this.#settlement();
    return this.promise;
  }

  succeed(): void {
    this.state = "committed";
    this.resolve?.();
  }

  fail(error: BrokerError): void {
    this.state = "failed";
    this.error = error;
    this.builder = undefined;
    this.encoded = undefined;
    this.reject?.(error);
  }

  #settlement(): Promise<void> {
    if (this.state === "committed") return Promise.resolve();
    if (this.error !== undefined) return Promise.reject(this.error);
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/**
 * Pending appends of which all or none must be there after a crash. Units that meet in one pending append become
 * one: ask `root` for it.
 */
export class AtomicUnit {
  /** Set when a log of the unit failed: the rest must not be committed either. */
  broken: BrokerError | undefined;
  private parent: AtomicUnit | undefined;
  /** What is being committed by an earlier commit, and without which the unit must not be. */
  private needed: PendingAppend[] | undefined;

  constructor() {
    this.broken = undefined;
    this.parent = undefined;
    this.needed = undefined;
  }

  /** Why it must not be committed. */
  get problem(): BrokerError | undefined {
    return this.broken ?? this.needed?.find(({ state }) => state === "failed")?.error;
  }

  need(pending: PendingAppend): void {
    this.root.addNeeded([pending]);
  }

  get root(): AtomicUnit {
    let root: AtomicUnit = this;
    while (root.parent !== undefined) root = root.parent;
    if (this !== root) this.parent = root;
    return root;
  }

  join(other: AtomicUnit): void {
    const root = this.root;
    const otherRoot = other.root;
    if (root === otherRoot) return;
    otherRoot.parent = root;
    root.broken ??= otherRoot.broken;
    if (otherRoot.needed !== undefined) root.addNeeded(otherRoot.needed);
  }
  private addNeeded(pending: readonly PendingAppend[]): void {
    this.needed ??= [];
    for (const one of pending) this.needed.push(one);
  }
}
