// The log as JSON, an object a line, for programs that gather logs.

import { destination, pino, stdSerializers, stdTimeFunctions } from "pino";
import type { ServerLog } from "../network/host.js";
import type { LogLevel } from "./log.js";

/** What may wait for a reader of the log; more is dropped, since the server must not wait for it. */
const WAITING_CHARACTERS_MAX = 4 * 1024 * 1024;

export interface JsonLog extends ServerLog {
  /** Writes what waits, before the process ends. */
  flush(): void;
}

/** `{"level":"info","time":"2026-03-01T14:00:00.000Z","text":...}` and the fields, on the file descriptor. */
export function jsonLog(level: LogLevel, fileDescriptor: number): JsonLog {
  const stream = destination({ dest: fileDescriptor, sync: false, maxLength: WAITING_CHARACTERS_MAX });
  // Whoever read the log left; there is nobody to tell.
  stream.on("error", () => undefined);
  const logger = pino(
    {
      level,
      base: null,
      messageKey: "text",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.errWithCause },
    },
    stream,
  );
  return {
    debug: (fields, text) => logger.debug(fields, text),
    info: (fields, text) => logger.info(fields, text),
    warn: (fields, text) => logger.warn(fields, text),
    error: (fields, text) => logger.error(fields, text),
    flush: () => stream.flushSync(),
  };
}
