// What one client published and is on its way to the disk: nobody waits for it but the client's next messages, when it is
// too much.

import type { Appended } from "../../broker/appended.js";

/** What one client may have on its way before nothing more is read from it. */
const STORING_BYTES_MAX = 8 * 1024 * 1024;

export interface Holding {
  hold(): void;
  release(): void;
}

/** Hears of a message that could not be stored. */
type OnFailure = (error: unknown, subject: string) => void;

export class Storing {
  private readonly holding: Holding;
  /** A commit is shared by all messages that it takes. */
  private readonly commits: Set<Promise<void>>;
  private bytes: number;
  private isHolding: boolean;

  constructor(holding: Holding) {
    this.holding = holding;
    this.commits = new Set();
    this.bytes = 0;
    this.isHolding = false;
  }

  follow(appended: readonly Appended[], sizeBytes: number, subject: string, onFailure: OnFailure): void {
    for (const { committed } of appended) {
      if (this.commits.has(committed)) continue;
      this.commits.add(committed);
      committed.then(
        () => this.ended(committed),
        (error: unknown) => {
          this.ended(committed);
          onFailure(error, subject);
        },
      );
    }
    this.bytes += sizeBytes;
    if (this.bytes <= STORING_BYTES_MAX || this.isHolding) return;
    this.isHolding = true;
    this.holding.hold();
  }

  private ended(commit: Promise<void>): void {
    this.commits.delete(commit);
    if (this.commits.size > 0) return;
    this.bytes = 0;
    if (!this.isHolding) return;
    this.isHolding = false;
    this.holding.release();
  }
}
