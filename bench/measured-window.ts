// A stretch of time in which progress is counted, after a warm-up that is not. Moved by the load itself, so that an
// engine that never lets a timer run is still measured.

export interface Timing {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export class MeasuredWindow {
  readonly #opensAtMs: number;
  readonly #measureMs: number;
  #isOpen = false;
  #isClosed = false;
  #openedAtMs = 0;
  #countAtOpening = 0;
  #closedAtMs = 0;
  #countAtClosing = 0;

  constructor(nowMs: number, timing: Timing) {
    this.#opensAtMs = nowMs + timing.warmUpMs;
    this.#measureMs = timing.measureMs;
  }

  /** Whether what happens is counted: the warm-up is over, the end not reached. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Notes that `count` things were done by `nowMs`, ever since the run began. */
  advance(nowMs: number, count: number): void {
    if (this.#isClosed || nowMs < this.#opensAtMs) return;
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#openedAtMs = nowMs;
      this.#countAtOpening = count;
    } else if (nowMs >= this.#openedAtMs + this.#measureMs) this.close(nowMs, count);
  }

  /** Ends an open window before its time. */
  close(nowMs: number, count: number): void {
    this.#isOpen = false;
    this.#isClosed = true;
    this.#closedAtMs = nowMs;
    this.#countAtClosing = count;
  }

  /** Of the closed window. */
  get perSecond(): number {
    return (1000 * (this.#countAtClosing - this.#countAtOpening)) / (this.#closedAtMs - this.#openedAtMs);
  }
}
