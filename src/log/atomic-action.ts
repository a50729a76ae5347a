// One synchronous action whose appends, to whatever logs, are committed together, or forgotten when it throws.

import type { BrokerError } from "../broker-error.js";
import type { BuilderMark } from "./batch-builder.js";
import { AtomicUnit, type PendingAppend } from "./pending-append.js";

/** What an action can go back to in one log. */
export interface AppendMark {
  readonly queueLength: number;
  readonly queuedBytes: number;
  readonly open: PendingAppend | undefined;
  readonly openUnit: AtomicUnit | undefined;
  readonly builder: BuilderMark | undefined;
}

/** A log, as far as an action is concerned. */
export interface AtomicLog {
  mark(): AppendMark;
  rewind(mark: AppendMark, error: BrokerError): void;
}

export class AtomicAction<L extends AtomicLog> {
  readonly unit: AtomicUnit;
  /** The logs that it appended to. */
  readonly logs: L[];
  private readonly marks: AppendMark[];

  constructor() {
    this.unit = new AtomicUnit();
    this.logs = [];
    this.marks = [];
  }

  /** Before the first append to `log`. */
  enter(log: L): void {
    this.logs.push(log);
    this.marks.push(log.mark());
  }

  add(pending: PendingAppend): void {
    if (pending.unit === undefined) pending.unit = this.unit;
    else if (pending.unit !== this.unit) pending.unit.join(this.unit);
  }

  /** Takes every append back. */
  undo(error: BrokerError): void {
    for (let i = 0; i < this.logs.length; i += 1) this.logs[i]!.rewind(this.marks[i]!, error);
  }
}

/** The action that runs at this moment, if any, shared by all logs of a store. */
export class AtomicScope<L extends AtomicLog> {
  current: AtomicAction<L> | undefined;

  constructor() {
    this.current = undefined;
  }
}
