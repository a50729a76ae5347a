// Brings JSON Lines of any length into the bus: bounded memory, batches, one batch on its way to the disk while the
// next is read. A bad line is named by its number.

import { isUtf8 } from "node:buffer";
import { isBrokerError, type Receipt } from "../index.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { CommandFailure, describeFailure } from "./failure.js";
import { formatAmount, formatCount } from "./format.js";
import { type Line, splitLines } from "./lines.js";
import type { Outgoing } from "./outgoing.js";

/** A batch is closed at this many messages or bytes, whichever comes first. */
const BATCH_MESSAGES = 2_000;
const BATCH_BYTES = 1024 * 1024;

export interface IngestOptions {
  /** The field of the JSON that is the key, a path with dots. */
  readonly keyField: string | undefined;
  /** Bad lines are counted instead of ending the run. */
  readonly skipInvalid: boolean;
  readonly signal: AbortSignal;
  /** Stores a batch and resolves when it is durable. Of a batch that fails, the first messages may be stored. */
  readonly deliver: (batch: readonly Outgoing[]) => Promise<readonly Receipt[]>;
  /** How many messages this run has stored. */
  readonly countStored: () => Promise<number>;
  /** Told the number of messages that are durable. */
  readonly onProgress: (accepted: number) => void;
}

/** How far an ingest came. */
export interface IngestResult {
  readonly accepted: number;
  readonly skipped: number;
  readonly first: Receipt | undefined;
  readonly last: Receipt | undefined;
}

/**
 * Delivers every line of `chunks` as a message. Empty lines are passed over. Errors: a `CommandFailure` that names the
 * line and says how many messages were stored before it.
 */
export async function ingest(
  chunks: AsyncIterable<Uint8Array>,
  options: IngestOptions,
): Promise<IngestResult> {
  const run = new Ingest(options);
  try {
    for await (const lines of splitLines(chunks)) {
      for (const line of lines) {
        if (run.isFull) await run.makeRoom();
        run.take(line);
      }
      run.start();
      if (options.signal.aborted) break;
    }
  } catch (error) {
    // An interruption ends the input wherever it is.
    if (options.signal.aborted && !(error instanceof CommandFailure))
      return run.finish().then(() => run.result());
    // What was taken before the bad line is stored; a failure of that says more than the bad line.
    const failure = await run.finish().then(
      () => error,
      (worse: unknown) => worse,
    );
    throw await run.describe(failure);
  }
  await run.finish().catch(async (error: unknown) => {
    throw await run.describe(error);
  });
  return run.result();
}

interface Pending {
  readonly message: Outgoing;
  readonly lineNumber: number;
}

class Ingest {
  private readonly options: IngestOptions;
  private readonly keyPath: readonly string[] | undefined;
  private batch: Pending[];
  private batchBytes: number;
  private underWay: Promise<void>;
  private isDelivering: boolean;
  private accepted: number;
  private skipped: number;
  private first: Receipt | undefined;
  private last: Receipt | undefined;
  private failure: unknown;

  constructor(options: IngestOptions) {
    this.options = options;
    this.keyPath = options.keyField?.split(".");
    this.batch = [];
    this.batchBytes = 0;
    this.underWay = Promise.resolve();
    this.isDelivering = false;
    this.accepted = 0;
    this.skipped = 0;
    this.first = undefined;
    this.last = undefined;
    this.failure = undefined;
  }

  get isFull(): boolean {
    return this.batch.length >= BATCH_MESSAGES || this.batchBytes >= BATCH_BYTES;
  }

  /** Hot: every line. Errors: bad input. */
  take(line: Line): void {
    if (line.bytes.length === 0) return;
    const key = this.#check(line);
    if (key === null) return;
    this.batch.push({ message: { body: line.bytes, key }, lineNumber: line.number });
    this.batchBytes += line.bytes.length;
  }

  /** Sends what was taken on its way, unless a batch is: then it follows. So a slow input is not held back. */
  start(): void {
    if (this.isDelivering || this.batch.length === 0 || this.failure !== undefined) return;
    const batch = this.batch;
    this.batch = [];
    this.batchBytes = 0;
    this.isDelivering = true;
    this.underWay = this.#deliver(batch)
      .catch((error: unknown) => {
        this.failure = error;
      })
      .then(() => {
        this.isDelivering = false;
        this.start();
      });
  }

  /** Waits until the batch that is being filled could be started. */
  async makeRoom(): Promise<void> {
    while (this.isFull && this.failure === undefined) {
      this.start();
      if (this.isFull) await this.underWay;
    }
    this.#throwFailure();
  }

  /** Stores what is left. */
  async finish(): Promise<void> {
    this.start();
    while (this.isDelivering) await this.underWay;
    this.#throwFailure();
  }

  result(): IngestResult {
    return { accepted: this.accepted, skipped: this.skipped, first: this.first, last: this.last };
  }

  /** The failure that ends the run, with what was done before it. */
  async describe(error: unknown): Promise<CommandFailure> {
    const { sentence, hint, exitCode } = describeFailure(error);
    this.accepted = await this.options.countStored();
    const before = error instanceof CommandFailure ? " before it" : "";
    const stored = `${formatAmount(this.accepted, "message")}${before} ${this.accepted === 1 ? "is" : "are"} stored`;
    return new CommandFailure(exitCode, sentence, hint === undefined ? stored : `${stored}; ${hint}`, error);
  }

  #throwFailure(): void {
    const failure = this.failure;
    if (failure !== undefined) throw failure;
  }

  async #deliver(batch: readonly Pending[]): Promise<void> {
    for (let rest = batch; rest.length > 0; ) {
      try {
        this.#count(await this.options.deliver(rest.map(({ message }) => message)));
        return;
      } catch (error) {
        if (!isAboutTheInput(error)) throw error;
        rest = await this.#pastTheRefused(rest);
      }
    }
  }

  /** One message of the batch was refused. Passes over what was stored before it and over itself, and names its line. */
  async #pastTheRefused(batch: readonly Pending[]): Promise<readonly Pending[]> {
    const taken = (await this.options.countStored()) - this.accepted;
    this.accepted += taken;
    const [first, ...rest] = batch.slice(taken);
    if (first === undefined) return [];
    try {
      this.#count(await this.options.deliver([first.message]));
    } catch (error) {
      if (!isAboutTheInput(error)) throw error;
      const { sentence, exitCode } = describeFailure(error);
      this.#refuse(first.lineNumber, sentence, exitCode);
    }
    return rest;
  }

  #count(receipts: readonly Receipt[]): void {
    this.accepted += receipts.length;
    this.first ??= receipts[0];
    this.last = receipts.at(-1) ?? this.last;
    this.options.onProgress(this.accepted);
  }

  /** The key of the line's message, undefined when it has none, null when the line is skipped. */
  #check(line: Line): string | undefined | null {
    if (!isUtf8(line.bytes)) return this.#refuse(line.number, "is no UTF-8 text");
    let value: unknown;
    try {
      value = JSON.parse(line.bytes.toString("utf8"));
    } catch (error) {
      return this.#refuse(line.number, `is no JSON: ${(error as Error).message}`);
    }
    if (this.keyPath === undefined) return undefined;
    const key = fieldAt(value, this.keyPath);
    if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return String(key);
    return this.#refuse(line.number, `has no key in its field '${this.options.keyField}'`);
  }

  #refuse(lineNumber: number, problem: string, exitCode: ExitCode = EXIT.badInput): null {
    if (this.options.skipInvalid) {
      this.skipped += 1;
      return null;
    }
    const hint = "mend the line and continue with it, or pass over such lines with --skip-invalid";
    const sentence = /^(is|has) /.test(problem)
      ? `line ${formatCount(lineNumber)} ${problem}`
      : `line ${formatCount(lineNumber)}: ${problem}`;
    throw new CommandFailure(exitCode, sentence, hint);
  }
}

function isAboutTheInput(error: unknown): boolean {
  return isBrokerError(error, "MESSAGE_TOO_LARGE") || isBrokerError(error, "INVALID_PAYLOAD");
}

function fieldAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const name of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}
