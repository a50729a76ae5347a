// One line on standard error that says how far long work has come: redrawn on a terminal, repeated now and then elsewhere.

import { formatCount } from "./format.js";
import type { World } from "./world.js";

const REDRAW_MS = 100;
const REPEAT_MS = 5_000;

export class Progress {
  private readonly world: World;
  private readonly what: string;
  private readonly startedMs: number;
  private shownMs: number;
  private isDrawn: boolean;

  /** `what` is what is counted: `messages`. */
  constructor(world: World, what: string) {
    this.world = world;
    this.what = what;
    this.startedMs = world.io.clock.monotonicMs();
    this.shownMs = this.startedMs;
    this.isDrawn = false;
  }

  /** Shows `count` when the last time is long enough ago. */
  update(count: number): void {
    const nowMs = this.world.io.clock.monotonicMs();
    const isTerminal = this.world.stderr.isTTY === true;
    if (nowMs - this.shownMs < (isTerminal ? REDRAW_MS : REPEAT_MS)) return;
    this.shownMs = nowMs;
    const rate = formatCount((count * 1000) / (nowMs - this.startedMs));
    const text = `${formatCount(count)} ${this.what}, ${rate}/s`;
    if (isTerminal) this.world.stderr.write(`\r\x1b[2K${this.world.errorColours.dim(text)}`);
    else this.world.note(text);
    this.isDrawn = isTerminal;
  }

  /** Leaves an empty line for what comes next. */
  finish(): void {
    if (this.isDrawn) this.world.stderr.write("\r\x1b[2K");
    this.isDrawn = false;
  }

  /** Milliseconds since the work began. */
  elapsedMs(): number {
    return this.world.io.clock.monotonicMs() - this.startedMs;
  }
}
