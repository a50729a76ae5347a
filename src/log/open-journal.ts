// Opens the journal of a data directory: what an earlier process left in it goes into the segments first.

import { BrokerError } from "../broker-error.js";
import type { Files, Random } from "../io/io.js";
import { forEachParallel } from "./for-each-parallel.js";
import { Journal } from "./journal.js";
import { BLOCK_BYTES, encodeData } from "./journal-entry.js";
import { JournalFile } from "./journal-file.js";
import {
  applyParts,
  type FoundJournalFile,
  type JournalContent,
  type RecoveredLog,
  readJournal,
  secureNewest,
} from "./journal-recovery.js";
import { isOutOfSpace, storageFailed } from "./storage-errors.js";
import { writeFully } from "./write-file.js";

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
  const first = content.files.length === 0 ? nextNumber : nextNumber + 1;
  const journal = new Journal(files, directory, random, capacityBytes, reusable, first, nextFileNumber);
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
  const found = [...content.files].sort((a, b) => b.lastNumber - a.lastNumber);
  const isDisowned = await disown(files, found[0], content.nextNumber);
  if (!isDisowned) return reusable;
  const number = content.nextNumber + 1;
  for (const { path, logNames } of found) {
    const isKept = [...logNames].some((name) => recovered.get(name) instanceof BrokerError);
    if (isKept) continue;
    const file = await files.open(path, "write");
    const journalFile = new JournalFile(path, file, await file.size());
    await journalFile.blank({ number, neededFrom: number, pass: 0 });
    reusable.push(journalFile);
  }
  return reusable;
}

/**
 * Says behind the newest entry that none is needed, before the first of them is overwritten: should that be torn, what lies
 * behind it does not look as if it were lost. False when there is no room for that: then the files stay as they are.
 */
async function disown(files: Files, newest: FoundJournalFile | undefined, number: number): Promise<boolean> {
  if (newest === undefined || newest.lastEnd === 0 || newest.isBlank) return true;
  const file = await files.open(newest.path, "write");
  try {
    const entry = encodeData(
      Buffer.alloc(BLOCK_BYTES),
      { number, neededFrom: number, pass: newest.pass },
      [],
    );
    await writeFully(file, entry, newest.lastEnd);
    await file.sync();
    return true;
  } catch (error) {
    if (isOutOfSpace(error)) return false;
    throw storageFailed(newest.path, "Ending the journal", error);
  } finally {
    await file.close();
  }
}
