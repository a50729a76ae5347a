// A world in which a seed decides what happens next: every turn and every answer of the disk is a step of it.

import type { Clock, Io, Processes } from "../../src/io/io.js";
import { SeededRandom } from "./seeded-random.js";
import { SimulatedDisk } from "./simulated-disk.js";

export class SimulatedWorld {
  readonly random: SeededRandom;
  disk: SimulatedDisk;
  #tasks: (() => void)[] = [];
  #nowMs = 1_000_000;
  #processNumber = 1;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new SimulatedDisk(this.random, (task) => this.#tasks.push(task));
  }

  /** The world of the process that runs at this moment. After a crash, ask again. */
  get io(): Io {
    const pid = this.#processNumber;
    const identity = { pid, startedAt: String(pid), host: "here", command: "test" };
    const processes: Processes = {
      current: identity,
      isRunning: ({ pid: asked }) => asked === this.#processNumber,
    };
    return { files: this.disk, clock: this.#clock(), random: this.random, processes };
  }

  /** Ends the process at this moment, and with `power` the machine. Nothing of it goes on. */
  crash(power: boolean): void {
    this.#tasks = [];
    this.disk = this.disk.afterCrash(power, (task) => this.#tasks.push(task));
    this.#processNumber += 1;
  }

  /** Takes so many steps, or as many as there are. */
  async step(count: number): Promise<void> {
    for (let i = 0; i < count && (await this.#step()); i += 1);
  }

  /** Goes on until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    settled.catch(() => {});
    await turn();
    while (!isSettled)
      if (!(await this.#step()) && !isSettled) throw new Error("nothing goes on, but it is not settled");
    return settled;
  }

  async #step(): Promise<boolean> {
    if (this.#tasks.length === 0) await turn();
    const [task] = this.#tasks.splice(this.random.below(this.#tasks.length), 1);
    if (task === undefined) return false;
    this.#nowMs += 1;
    task();
    await turn();
    return true;
  }

  #clock(): Clock {
    return {
      nowMs: () => this.#nowMs,
      monotonicMs: () => this.#nowMs,
      defer: (action) => this.#tasks.push(action),
      setTimer: () => {
        throw new Error("this world has no timers");
      },
    };
  }
}

/** Lets everything run that waits for nothing but a promise that is settled. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
