// One life of the victim: a process that is heard, and killed.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Account } from "./account.js";

const VICTIM = fileURLToPath(new URL("./victim.js", import.meta.url));

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Life {
  /** Resolves when its handlers are registered, or it has ended. */
  readonly ready: Promise<void>;
  readonly ended: Promise<End>;
  errors = "";
  readonly #child: ChildProcess;
  readonly #account: Account;
  readonly #number: number;
  #becomeReady: () => void = () => undefined;

  constructor(account: Account, directory: string, number: number, mode: "work" | "drain") {
    this.#account = account;
    this.#number = number;
    this.#child = spawn(process.execPath, [VICTIM, directory, String(number), mode], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    this.ended = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    this.#hear();
    void this.ended.then(this.#becomeReady);
  }

  /** Ends with SIGKILL, wherever it is. A victim that had ended by itself is a problem. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    const { code, signal } = await this.ended;
    if (signal !== "SIGKILL")
      this.#account.problem(
        `life ${this.#number} ended by itself with code ${code}, signal ${signal}: ${this.errors}`,
      );
  }

  #hear(): void {
    let rest = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      // What a killed process had not finished saying is not said.
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "R") this.#becomeReady();
        this.#account.hear(this.#number, line);
      }
    });
  }
}
