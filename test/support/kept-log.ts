// A log of a server that keeps what it was told.

import type { LogFields, ServerLog } from "../../src/network/host.js";

interface LogLine {
  readonly level: string;
  readonly fields: LogFields;
  readonly text: string;
}

export class KeptLog implements ServerLog {
  readonly lines: LogLine[] = [];

  debug(fields: LogFields, text: string): void {
    this.lines.push({ level: "debug", fields, text });
  }

  info(fields: LogFields, text: string): void {
    this.lines.push({ level: "info", fields, text });
  }

  warn(fields: LogFields, text: string): void {
    this.lines.push({ level: "warn", fields, text });
  }

  error(fields: LogFields, text: string): void {
    this.lines.push({ level: "error", fields, text });
  }
}
