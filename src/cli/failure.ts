// How a command fails: a sentence, a hint of what to do, an exit code; and how any other error becomes these three.

import { type BrokerErrorCode, isBrokerError } from "../index.js";
import { EXIT, EXIT_OF_BROKER_ERROR, type ExitCode } from "./exit-codes.js";

/** A failure that the person at the keyboard can do something about. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** What to do about an error of the broker, where its own sentence does not say it in terms of this command. */
const HINTS: Partial<Record<BrokerErrorCode, string>> = {
  DATA_DIRECTORY_LOCKED:
    "stop that process and try again; `omnibus queues`, `topics`, `tail` and `dead list` work beside it",
  DATA_DIRECTORY_UNUSABLE: "check the path, and that this user may write there",
  DISK_FULL: "make room on the disk and try again; nothing that was confirmed is lost",
  DEAD_LETTER_NOT_FOUND: "`omnibus dead list` shows the identifiers",
  INVALID_NAME: "`omnibus queues` and `omnibus topics` show the names that are there",
  INVALID_OPTION: "`omnibus help <command>` shows the options with examples",
  INVALID_SUBJECT: "write levels joined by dots, such as order.placed",
  LOG_CORRUPT: "`omnibus verify` shows all that is damaged, and `omnibus repair` goes on without it",
  MESSAGE_TOO_LARGE: "store large content elsewhere and send a reference to it",
  QUEUE_FULL: "wait until its consumers have caught up, and continue with the messages that are left",
  QUEUE_NOT_EMPTY: "purge it first, or leave out --if-empty",
  QUEUE_NOT_FOUND: "`omnibus queues` shows the queues",
  TOPIC_NOT_FOUND: "`omnibus topics` shows the topics",
};

/** Anything thrown, as the sentence, the hint and the exit code that the command ends with. */
export function describeFailure(error: unknown): {
  readonly sentence: string;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;
} {
  if (error instanceof CommandFailure) {
    return { sentence: error.message, hint: error.hint, exitCode: error.exitCode };
  }
  if (isBrokerError(error)) {
    return { sentence: error.message, hint: HINTS[error.code], exitCode: EXIT_OF_BROKER_ERROR[error.code] };
  }
  const sentence = error instanceof Error ? error.message : String(error);
  return {
    sentence: sentence === "" ? "an error without a message" : sentence,
    hint: "this looks like a bug of Omnibus: run it again with --debug and report what it prints",
    exitCode: EXIT.failed,
  };
}
