// One machine and one process at a time, in which a seed decides what happens next: which answer of the disk comes
// first, when a turn of the event loop runs, when time passes, what goes wrong.

import type { Clock, Io, Processes, Timer } from "../../src/io/io.js";
import { SeededRandom } from "../support/seeded-random.js";
import { SimulatedDisk } from "../support/simulated-disk.js";

const START_MS = 1_700_000_000_000;
/** How much time one step takes. */
const STEP_MS = 0.05;
/** How often time passes although something else could happen: the disk is slow. */
const SLOW = 0.01;
/** How slow it is at most. */
const SLOWEST_MS = 60_000;

interface SimulatedTimer extends Timer {
  readonly dueMs: number;
  readonly action: () => void;
}

export class World {
  readonly random: SeededRandom;
  disk: SimulatedDisk;
  /** Answers of the disk that came before earlier ones. */
  reordered = 0;
  steps = 0;
  #pid = 1;
  /** Until then the disk answers nothing. */
  #slowUntilMs = 0;
  #elapsedMs = 0;
  /** How far somebody has set the wall clock ahead. */
  #jumpedMs = 0;
  #latestMs = 0;
  /** Answers of the disk, which come in any order. */
  #answers: (() => void)[] = [];
  /** Turns of the event loop, one after the other. */
  #turns: (() => void)[] = [];
  #timers = new Set<SimulatedTimer>();

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new SimulatedDisk(this.random, (answer) => this.#answers.push(answer));
  }

  get nowMs(): number {
    return START_MS + Math.floor(this.#elapsedMs) + this.#jumpedMs;
  }

  /** The latest that the wall clock ever showed. */
  get latestMs(): number {
    return Math.max(this.#latestMs, this.nowMs);
  }

  /** The world as the process sees it that runs now. After a crash, ask again. */
  get io(): Io {
    const pid = this.#pid;
    const identity = { pid, startedAt: String(pid), host: "here", command: "simulation" };
    const processes: Processes = { current: identity, isRunning: (asked) => asked.pid === this.#pid };
    return { files: this.disk, clock: this.#clock(), random: this.random, processes };
  }

  /** Ends the process at this moment, and with `power` the machine. Nothing of it goes on. */
  crash(power: boolean): void {
    this.#answers = [];
    this.#turns = [];
    this.#timers = new Set();
    this.disk = this.disk.afterCrash(power, (answer) => this.#answers.push(answer));
    this.#pid += 1;
  }

  jumpWallClock(byMs: number): void {
    this.#latestMs = this.latestMs;
    this.#jumpedMs += byMs;
  }

  /** The disk answers nothing for so long. */
  slowDisk(durationMs: number): void {
    this.#slowUntilMs = this.#elapsedMs + durationMs;
  }

  /**
   * The event loop stands still. Afterwards every timer that is due comes before anything else, but for turns that were
   * asked for before.
   */
  async block(durationMs: number): Promise<void> {
    this.#elapsedMs += durationMs;
    if (this.random.chance(0.5)) for (const turn of this.#turns.splice(0)) await this.#take(turn);
    const nowMs = this.#elapsedMs;
    for (let timer = this.#firstTimer(nowMs); timer !== undefined; timer = this.#firstTimer(nowMs)) {
      this.#timers.delete(timer);
      await this.#take(timer.action);
    }
  }

  /** Takes so many steps, or as many as there are. */
  async step(count: number): Promise<void> {
    for (let i = 0; i < count && (await this.#step(Number.POSITIVE_INFINITY)); i += 1);
  }

  /** Lets so much time pass, and everything happen that is due meanwhile. */
  async pass(durationMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + durationMs;
    while (this.#elapsedMs < untilMs && (await this.#step(untilMs)));
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs);
  }

  /** Goes on until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await microtasks();
    while (!isSettled)
      if (!(await this.#step(Number.POSITIVE_INFINITY)) && !isSettled)
        throw new Error("somebody waits, and nothing is left to happen");
    return promise;
  }

  /** Whether something happened. Time does not pass `untilMs`. */
  async #step(untilMs: number): Promise<boolean> {
    const action = this.#next(untilMs);
    if (action === undefined) return false;
    await this.#take(action);
    return true;
  }

  async #take(action: () => void): Promise<void> {
    this.steps += 1;
    action();
    await microtasks();
  }

  #next(untilMs: number): (() => void) | undefined {
    const { random } = this;
    const isSlow = this.#elapsedMs < this.#slowUntilMs;
    const ready = (isSlow ? 0 : this.#answers.length) + this.#turns.length;
    const answersMs = isSlow && this.#answers.length > 0 ? this.#slowUntilMs : Number.POSITIVE_INFINITY;
    if (ready === 0 || random.chance(SLOW)) {
      const slowestMs = ready === 0 ? untilMs : this.#elapsedMs + SLOWEST_MS;
      const timer = this.#firstTimer(Math.min(untilMs, slowestMs));
      if (timer !== undefined && (ready > 0 || timer.dueMs <= answersMs)) {
        this.#timers.delete(timer);
        this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueMs);
        return timer.action;
      }
      if (ready === 0) return this.#slowAnswer(untilMs);
    }
    this.#elapsedMs += STEP_MS;
    if (random.below(ready) < this.#turns.length) return this.#turns.shift();
    return this.#answer();
  }

  /** The first answer after the disk was slow, if that ends by then. */
  #slowAnswer(untilMs: number): (() => void) | undefined {
    if (this.#answers.length === 0 || this.#slowUntilMs > untilMs) return undefined;
    this.#elapsedMs = Math.max(this.#elapsedMs, this.#slowUntilMs);
    return this.#answer();
  }

  #answer(): (() => void) | undefined {
    const index = this.random.below(this.#answers.length);
    if (index > 0) this.reordered += 1;
    return this.#answers.splice(index, 1)[0];
  }

  #firstTimer(untilMs: number): SimulatedTimer | undefined {
    let first: SimulatedTimer | undefined;
    for (const timer of this.#timers)
      if (timer.dueMs <= untilMs && (first === undefined || timer.dueMs < first.dueMs)) first = timer;
    return first;
  }

  #clock(): Clock {
    const pid = this.#pid;
    const isAlive = (): boolean => pid === this.#pid;
    return {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.#elapsedMs,
      defer: (action) => {
        if (isAlive()) this.#turns.push(action);
      },
      setTimer: (action, delayMs) => {
        const timer: SimulatedTimer = {
          dueMs: this.#elapsedMs + Math.max(0, delayMs),
          action,
          cancel: () => this.#timers.delete(timer),
        };
        if (isAlive()) this.#timers.add(timer);
        return timer;
      },
    };
  }
}

/** Lets everything run that waits for nothing but a promise that is settled. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
