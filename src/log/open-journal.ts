// Opens the journal of a data directory: what an earlier process left in it goes into the segments first.

import { BrokerError } from "../broker-error.js";
import type { Files, Random } from "../io/io.js";
import { forEachParallel } from "./for-each-parallel.js";
import { Journal } from "./journal.js";
import { JournalFile } from "./journal-file.js";
import {
  applyParts,
  type JournalContent,
  type RecoveredLog,
  readJournal,
  secureNewest,
} from "./journal-recovery.js";
import { storageFailed } from "./storage-errors.js";

export interface OpenedJournal {
  readonly journal: Journal;
  /** What it did to each log, or why it could not. */
  readonly recovered: ReadonlyMap<string, RecoveredLog | BrokerError>;
}

/**
 * A log that the journal cannot be applied to does not keep others from opening; the files that speak of it are kept
 * for the next attempt. `directoryOf` is undefined for logs that are gone.
 */
export async function recoverJournal(
  files: Files,
  random: Random,
  dataDirectory: string,
  directoryOf: (logName: string) => string | undefined,
  capacityBytes: number,
): Promise<OpenedJournal> {
  const directory = `${dataDirectory}/journal`;
  const content = await readJournal(files, directory);
  await secureNewest(files, content.files);
  const recovered = new Map<string, RecoveredLog | BrokerError>();
  await forEachParallel(content.parts, async ([logName, parts]) => {
    const logDirectory = directoryOf(logName);
    if (logDirectory === undefined) return;
    const result = await applyParts(files, logDirectory, logName, parts).catch((error: unknown) => {
      return error instanceof BrokerError
        ? error
        : storageFailed(logDirectory, "Applying the journal", error);
    });
    if (result !== undefined) recovered.set(logName, result);
  });
  const reusable = await reuseFiles(files, content, recovered);
  const { nextNumber, nextFileNumber } = content;
  const journal = new Journal(files, directory, random, capacityBytes, reusable, nextNumber, nextFileNumber);
  return { journal, recovered };
}

/** The files that hold nothing of a log that failed, marked as holding nothing at all. */
async function reuseFiles(
  files: Files,
  content: JournalContent,
  recovered: ReadonlyMap<string, RecoveredLog | BrokerError>,
): Promise<JournalFile[]> {
  const reusable: JournalFile[] = [];
  // The newest first: a blank may be torn, and what is left must not count on it.
  for (const { path, logNames } of [...content.files].sort((a, b) => b.lastNumber - a.lastNumber)) {
    const isKept = [...logNames].some((name) => recovered.get(name) instanceof BrokerError);
    if (isKept) continue;
    const file = await files.open(path, "write");
    const journalFile = new JournalFile(path, file, await file.size());
    await journalFile.blank({ number: content.nextNumber, neededFrom: content.nextNumber, pass: 0 });
    reusable.push(journalFile);
  }
  return reusable;
}
