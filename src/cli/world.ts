// What a command can see and touch: its streams, its colours, the machine (`Io`), and the wish to be interrupted.
// Commands get one handed in and know nothing else of the process that they run in.

import { Buffer } from "node:buffer";
import { createColors } from "picocolors";
import type { Io } from "../io/io.js";

/** The functions that colour a text, or leave it alone where colours are not wanted. */
export type Colours = ReturnType<typeof createColors>;

/** A stream that text is written to. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string | Uint8Array, done?: () => void): boolean;
  once(event: "drain", listener: () => void): unknown;
}

/** Standard input. */
export interface Input extends AsyncIterable<Uint8Array> {
  readonly isTTY?: boolean;
  /** Of a terminal: whether what is typed comes as it is typed, and is not shown. */
  setRawMode?(isRaw: boolean): unknown;
}

/** What is gathered before it is written: a system call for each line would be most of the work. */
const GATHER_BYTES = 64 * 1024;

/** The width that text is fitted to where nothing is known about the terminal. */
const COLUMNS_DEFAULT = 100;
const ROWS_DEFAULT = 24;

export interface WorldParts {
  readonly io: Io;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted when the person interrupts the command. */
  readonly signal: AbortSignal;
  /** Has `listener` hear of each SIGHUP, which ends the process otherwise. */
  readonly onHangUp: (listener: () => void) => void;
}

/** Everything outside of a command. */
export class World {
  readonly io: Io;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly onHangUp: (listener: () => void) => void;
  /** Interrupting the command is how it is meant to end, and it takes the time that it needs. */
  endsByItself: boolean;
  /** Colours for standard output. */
  readonly colours: Colours;
  /** Colours for standard error. */
  readonly errorColours: Colours;
  private gathered: Buffer[];
  private gatheredBytes: number;
  private isFlushDue: boolean;

  constructor(parts: WorldParts) {
    this.io = parts.io;
    this.stdin = parts.stdin;
    this.stdout = parts.stdout;
    this.stderr = parts.stderr;
    this.environment = parts.environment;
    this.signal = parts.signal;
    this.onHangUp = parts.onHangUp;
    this.endsByItself = false;
    this.colours = createColors(wantsColours(parts.stdout, parts.environment));
    this.errorColours = createColors(wantsColours(parts.stderr, parts.environment));
    this.gathered = [];
    this.gatheredBytes = 0;
    this.isFlushDue = false;
  }

  /** How wide a line of the output may be; unlimited where nobody looks at it. */
  get columns(): number {
    if (this.stdout.isTTY !== true) return Number.POSITIVE_INFINITY;
    return this.stdout.columns ?? COLUMNS_DEFAULT;
  }

  /** How many lines a screen of the output has; unlimited where nobody looks at it. */
  get rows(): number {
    if (this.stdout.isTTY !== true) return Number.POSITIVE_INFINITY;
    // A terminal that does not know its size says 0.
    return this.stdout.rows || ROWS_DEFAULT;
  }

  /** Writes a line and waits until a slow reader has room for more. */
  async line(text: string): Promise<void> {
    await this.raw(`${text}\n`);
  }

  /** Writes what is given, unchanged, in this turn or the next, and waits until a slow reader has room for more. */
  async raw(content: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(content);
    this.gathered.push(bytes);
    this.gatheredBytes += bytes.length;
    if (this.gatheredBytes >= GATHER_BYTES) await this.flush();
    else if (!this.isFlushDue) {
      this.isFlushDue = true;
      this.io.clock.defer(() => void this.flush());
    }
  }

  /** Writes what is gathered. */
  async flush(): Promise<void> {
    this.isFlushDue = false;
    if (this.gatheredBytes === 0) return;
    const bytes = Buffer.concat(this.gathered);
    this.gathered = [];
    this.gatheredBytes = 0;
    if (this.stdout.write(bytes)) return;
    await new Promise<void>((resolve) => this.stdout.once("drain", resolve));
  }

  /** Writes one value as a line of JSON. */
  async json(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value));
  }

  /** Writes a line for the person, beside the output. */
  note(text: string): void {
    void this.flush();
    this.stderr.write(`${text}\n`);
  }

  /** Resolves after `delayMs`, or at once when the command is interrupted. */
  pause(delayMs: number): Promise<void> {
    if (this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        timer.cancel();
        this.signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = this.io.clock.setTimer(finish, delayMs);
      this.signal.addEventListener("abort", finish);
    });
  }
}

/** NO_COLOR (no-color.org) and FORCE_COLOR win over what the stream is. */
function wantsColours(output: Output, environment: WorldParts["environment"]): boolean {
  if ((environment["NO_COLOR"] ?? "") !== "") return false;
  const forced = environment["FORCE_COLOR"];
  if (forced !== undefined && forced !== "") return forced !== "0";
  return output.isTTY === true && environment["TERM"] !== "dumb";
}
