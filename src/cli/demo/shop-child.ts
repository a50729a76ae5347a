// The parent's side of the shop's process: starts it, hears its reports, kills it or lets it close.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../io/io.js";
import type { Report, ShopTask } from "./reports.js";

const SHOP_PROCESS = fileURLToPath(new URL("./shop-process.js", import.meta.url));

/** A shop that does not close within this time is killed. */
const CLOSE_WITHIN_MS = 8_000;

/** How the process ended. */
export interface ShopExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class ShopChild {
  /** Resolves when the process is gone and everything that it had reported was heard. */
  readonly exited: Promise<ShopExit>;
  private readonly child: ChildProcess;
  private readonly clock: Clock;
  private readonly onReport: (report: Report) => void;
  /** A line that is not complete. What a killed process had not finished saying stays here. */
  private rest: string;
  private errors: string;

  constructor(task: ShopTask, clock: Clock, onReport: (report: Report) => void) {
    this.clock = clock;
    this.onReport = onReport;
    this.rest = "";
    this.errors = "";
    this.child = spawn(process.execPath, ["--enable-source-maps", SHOP_PROCESS, JSON.stringify(task)], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#hear(text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-4_000);
    });
    this.child.stdin?.on("error", () => {});
    this.exited = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve({ code, signal }));
    });
  }

  /** The number of the process. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The end of what the process wrote to its standard error. */
  get errorText(): string {
    return this.errors.trim();
  }

  /** Ends the process at once, whatever it is doing: `kill -9`. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Lets the shop finish what it has in hand and close. */
  async close(): Promise<ShopExit> {
    this.child.stdin?.end();
    const limit = this.clock.setTimer(() => this.child.kill("SIGKILL"), CLOSE_WITHIN_MS);
    try {
      return await this.exited;
    } finally {
      limit.cancel();
    }
  }

  #hear(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.onReport(JSON.parse(line) as Report);
  }
}
