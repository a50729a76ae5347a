// The real world: the machine's files, clocks, randomness and processes.

import { getRandomValues } from "node:crypto";
import type { Clock, Io, Random, Timer } from "./io.js";
import { systemFiles } from "./system-files.js";
import { systemProcesses } from "./system-processes.js";

/** Node runs a timer of more milliseconds than this at once. */
const TIMER_MS_MAX = 0x7fffffff;

const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (action, delayMs, background = false) => new SystemTimer(action, delayMs, background),
  defer: (action) => {
    setImmediate(action);
  },
};

/** One timer, set again and again while the delay is longer than Node can wait. */
class SystemTimer implements Timer {
  private readonly action: () => void;
  private readonly isBackground: boolean;
  private readonly dueMs: number;
  private handle: NodeJS.Timeout;

  constructor(action: () => void, delayMs: number, isBackground: boolean) {
    this.action = action;
    this.isBackground = isBackground;
    this.dueMs = performance.now() + delayMs;
    this.handle = this.#start(delayMs);
  }

  cancel(): void {
    clearTimeout(this.handle);
  }

  #start(delayMs: number): NodeJS.Timeout {
    const handle =
      delayMs > TIMER_MS_MAX
        ? setTimeout(() => this.#startAgain(), TIMER_MS_MAX)
        : setTimeout(this.action, delayMs);
    return this.isBackground ? handle.unref() : handle;
  }

  #startAgain(): void {
    this.handle = this.#start(Math.max(this.dueMs - performance.now(), 0));
  }
}

/** Cryptographic randomness, drawn a block at a time: identifiers made from it cannot be guessed. */
class SystemRandom implements Random {
  private readonly words: Uint32Array;
  private used: number;

  constructor() {
    this.words = new Uint32Array(1024);
    this.used = this.words.length;
  }

  uint32(): number {
    if (this.used === this.words.length) {
      getRandomValues(this.words);
      this.used = 0;
    }
    const word = this.words[this.used]!;
    this.used += 1;
    return word;
  }

  fraction(): number {
    return ((this.uint32() >>> 5) * 0x4000000 + (this.uint32() >>> 6)) / 0x20000000000000;
  }
}

export const systemIo: Io = {
  files: systemFiles,
  clock: systemClock,
  random: new SystemRandom(),
  processes: systemProcesses,
};
