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

export class LimitedLog {
  readonly #log: ServerLog;
  readonly #clock: Clock;
  readonly #windows = new Map<string, Window>();

  constructor(log: ServerLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** One line of the kind that `text` is. Texts are few; what differs is in the fields. */
  warn(fields: LogFields, text: string): void {
    const nowMs = this.#clock.monotonicMs();
    let window = this.#windows.get(text);
    if (window === undefined || nowMs - window.beganMs >= WINDOW_MS) {
      const unsaid = window?.unsaid ?? 0;
      window = { beganMs: nowMs, lines: 0, unsaid: 0 };
      this.#windows.set(text, window);
      if (unsaid > 0) this.#log.warn({ times: unsaid }, `${text}, and so were others`);
    }
    window.lines += 1;
    if (window.lines <= LINES_MAX) this.#log.warn(fields, text);
    else window.unsaid += 1;
  }
}
