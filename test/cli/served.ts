// `omnibus serve` in a process of its own, for one test.

import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { type CliOptions, startCli } from "./run-cli.js";

interface Ready {
  readonly ready: boolean;
  readonly hasUsers: boolean;
  readonly listening: Readonly<Record<string, { readonly port: number; readonly url: string }>>;
}

export interface LogLine extends Record<string, unknown> {
  readonly level: string;
  readonly text: string;
}

/** A server in a process of its own, and its log line by line. */
export class Served {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ready: Ready;
  readonly log: LogLine[] = [];
  #wake: () => void = () => undefined;

  private constructor(child: ChildProcessWithoutNullStreams, ready: Ready, said: string) {
    this.child = child;
    this.ready = ready;
    let rest = said;
    const read = (text: string): void => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.log.push(JSON.parse(line) as LogLine);
      this.#wake();
    };
    read("");
    child.stderr.removeAllListeners("data").on("data", (bytes: Buffer) => read(bytes.toString()));
  }

  static async start(t: TestContext, args: readonly string[], options: CliOptions = {}): Promise<Served> {
    const child = startCli(["serve", "--json", ...args], options);
    t.after(() => child.kill("SIGKILL"));
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
    const line = await Promise.race([once(createInterface(child.stdout), "line"), once(child, "close")]);
    if (typeof line[0] !== "string") throw new Error(`The server did not open: ${said}`);
    return new Served(child, JSON.parse(line[0]) as Ready, said);
  }

  port(name: string): number {
    return this.ready.listening[name]!.port;
  }

  /** The first line with this text. */
  async logged(text: RegExp): Promise<LogLine> {
    for (;;) {
      const found = this.log.find((line) => text.test(line.text));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
