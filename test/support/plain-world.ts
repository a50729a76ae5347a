// A world whose disk does at once what it is asked, and fails when a test says so; time stands still until it is set.

import type { Io } from "../../src/io/io.js";
import { systemIo } from "../../src/io/system-io.js";
import { SeededRandom } from "./seeded-random.js";
import { SimulatedDisk } from "./simulated-disk.js";

export class PlainWorld {
  nowMs = 1_000_000;
  disk = new SimulatedDisk(new SeededRandom(1), (action) => queueMicrotask(action));
  #processNumber = 1;

  get io(): Io {
    const pid = this.#processNumber;
    return {
      files: this.disk,
      clock: { ...systemIo.clock, nowMs: () => this.nowMs },
      random: systemIo.random,
      processes: {
        current: { pid, startedAt: "", host: "here", command: "test" },
        isRunning: ({ pid: asked }) => asked === this.#processNumber,
      },
    };
  }

  /** Ends the process, and with `power` the machine, at this moment. */
  crash(power: boolean): void {
    this.disk = this.disk.afterCrash(power, (action) => queueMicrotask(action));
    this.#processNumber += 1;
  }
}
