// Whether a connection is read from: it is not while there is a reason against it.

/** Why a connection is not read from, as bits. */
export const REASON_AUTHENTICATING = 1;
/** It has had its share of the turn. */
export const REASON_TURN = 2;
/** What it published is not stored yet, and is enough for now. */
export const REASON_UNCOMMITTED = 4;
/** Frames wait for channels that are busy. */
export const REASON_HELD = 8;
/** Nothing can be stored. */
export const REASON_BLOCKED = 16;
/** More answers wait for the client than may. */
export const REASON_CONGESTED = 32;

export class InputGate {
  private readonly pause: () => void;
  private readonly resume: () => void;
  private reasons: number;

  constructor(pause: () => void, resume: () => void) {
    this.pause = pause;
    this.resume = resume;
    this.reasons = 0;
  }

  get isOpen(): boolean {
    return this.reasons === 0;
  }

  has(reason: number): boolean {
    return (this.reasons & reason) !== 0;
  }

  close(reason: number): void {
    const wasOpen = this.isOpen;
    this.reasons |= reason;
    if (wasOpen) this.pause();
  }

  open(reason: number): void {
    if (this.isOpen) return;
    this.reasons &= ~reason;
    if (this.isOpen) this.resume();
  }
}
