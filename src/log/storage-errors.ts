// What errors of files mean to a log, and the sentences that say so.

import { BrokerError } from "../broker-error.js";
import type { BatchFault } from "./record-batch.js";

/** By this process, or on the whole machine. */
const OUT_OF_FILES_CODES = new Set(["EMFILE", "ENFILE"]);
const OUT_OF_SPACE_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Whether a write failed only because there is no room: it may be tried again. */
export function isOutOfSpace(error: unknown): boolean {
  return OUT_OF_SPACE_CODES.has(systemCode(error));
}

/** Whether a file could not even be opened, because too many are: nothing was done, and it may be tried again. */
export function isOutOfFiles(error: unknown): boolean {
  if (error instanceof BrokerError) return OUT_OF_FILES_CODES.has(String(error.context["systemCode"]));
  return OUT_OF_FILES_CODES.has(systemCode(error));
}

export function isMissing(error: unknown): boolean {
  return systemCode(error) === "ENOENT";
}

export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

export function diskFull(path: string, sizeBytes: number, cause: unknown): BrokerError {
  const code = systemCode(cause);
  return new BrokerError(
    "DISK_FULL",
    `No room${sizeBytes > 0 ? ` for ${sizeBytes} bytes` : ""} in ${path} (${code}): nothing of it was kept. Free some space; the next append tries again.`,
    { path, bytes: sizeBytes, systemCode: code },
    cause,
  );
}

export function storageFailed(path: string, what: string, cause: unknown): BrokerError {
  const code = systemCode(cause);
  return new BrokerError(
    "STORAGE_FAILED",
    `${what} failed on ${path}${code === "" ? "" : ` (${code})`}. ${adviceOn(code)}`,
    { path, systemCode: code },
    cause,
  );
}

function adviceOn(code: string): string {
  if (OUT_OF_FILES_CODES.has(code))
    return "No more files can be opened: let the process have more (ulimit -n), or close some, and try again.";
  return "What was being committed may or may not be on disk; check the disk, then open the data directory again.";
}

/** `fault.position` is a byte of the file at `path`. */
export function logCorrupt(log: string, path: string, fault: BatchFault): BrokerError {
  const { what, position, expected, found } = fault;
  return new BrokerError(
    "LOG_CORRUPT",
    `Log ${log} is damaged: in ${path} at byte ${position}, ${what} is ${found}, expected ${expected}. Other logs are not affected.`,
    { log, path, position, what, expected, found },
  );
}

export function offsetOutOfRange(
  log: string,
  offset: number,
  logStartOffset: number,
  highWatermark: number,
): BrokerError {
  return new BrokerError(
    "OFFSET_OUT_OF_RANGE",
    `Log ${log} has no offset ${offset}: it holds ${logStartOffset} up to, not including, ${highWatermark}.`,
    { log, offset, logStartOffset, highWatermark },
  );
}

export function closed(what: string): BrokerError {
  return new BrokerError("CLOSED", `${what} is closed.`, { what });
}
