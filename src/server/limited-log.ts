// A log for what strangers can cause at will: so many lines of a kind in a while, then how many there were.

import type { Clock } from "../io/io.js";
import type { LogFields, ServerLog } from "../network/host.js";

const LINES_MAX = 10;
const WINDOW_MS = 10_000;

interface Window {
  readonly beganMs: number;
  lines: number;
  unsaid: number;
}

export class LimitedLog implements ServerLog {
  readonly #log: ServerLog;
  readonly #clock: Clock;
  readonly #windows = new Map<string, Window>();

  constructor(log: ServerLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  debug(fields: LogFields, text: string): void {
    this.#log.debug(fields, text);
  }

  info(fields: LogFields, text: string): void {
    this.#say("info", fields, text);
  }

  warn(fields: LogFields, text: string): void {
    this.#say("warn", fields, text);
  }

  /** Whatever happens to the server itself is said. */
  error(fields: LogFields, text: string): void {
    this.#log.error(fields, text);
  }

  /** The kind is `text` up to its first colon: of these there are few, whatever clients do. */
  #say(level: "info" | "warn", fields: LogFields, text: string): void {
    const nowMs = this.#clock.monotonicMs();
    const colon = text.indexOf(":");
    const kind = colon < 0 ? text : text.slice(0, colon);
    let window = this.#windows.get(kind);
    if (window === undefined || nowMs - window.beganMs >= WINDOW_MS) {
      const unsaid = window?.unsaid ?? 0;
      window = { beganMs: nowMs, lines: 0, unsaid: 0 };
      this.#windows.set(kind, window);
      if (unsaid > 0) this.#log[level]({ times: unsaid }, `${kind}, and so were others`);
    }
    window.lines += 1;
    if (window.lines <= LINES_MAX) this.#log[level](fields, text);
    else window.unsaid += 1;
  }
}
