// Reads what the journal of a store that was not closed holds, and puts it into the segments.

import { BrokerError } from "../broker-error.js";
import type { Files } from "../io/io.js";
import { BLOCK_BYTES, decodeEntry, type JournalEntry, type JournalPart } from "./journal-entry.js";
import { baseOffsetOf, segmentPath } from "./segment.js";
import { logCorrupt, storageFailed } from "./storage-errors.js";
import { writeFully } from "./write-file.js";

/** Parts that lie back to back are written at once, up to this. */
const RUN_BYTES_MAX = 1024 * 1024;

/** What was found. */
export interface JournalContent {
  readonly files: readonly FoundJournalFile[];
  /** By log, in the order in which they were committed, without those that were voided. */
  readonly parts: ReadonlyMap<string, readonly JournalPart[]>;
  /** Greater than that of every entry. */
  readonly nextNumber: number;
  readonly nextFileNumber: number;
}

export interface FoundJournalFile {
  readonly path: string;
  /** The logs of which it holds something. */
  readonly logNames: ReadonlySet<string>;
  /** Of its last entry; 0 when there is none. */
  readonly lastNumber: number;
  /** Where its last entry begins and ends. */
  readonly lastStart: number;
  readonly lastEnd: number;
  /** Of its last entry; 0 when there is none. */
  readonly pass: number;
  /** Whether it says that it holds nothing. */
  readonly isBlank: boolean;
}

/** Where the journal left a log. */
export interface RecoveredLog {
  readonly segmentBase: number;
  /** Up to here the segment must be sound. */
  readonly endPosition: number;
}

/** Reads all files of the journal. LOG_CORRUPT when entries are missing that may be needed. */
export async function readJournal(files: Files, directory: string): Promise<JournalContent> {
  const entries: JournalEntry[] = [];
  const found: FoundJournalFile[] = [];
  const strays: JournalEntry[] = [];
  let nextFileNumber = 0;
  for (const name of await files.list(directory)) {
    if (!/^\d{20}\.journal$/.test(name)) continue;
    const path = `${directory}/${name}`;
    nextFileNumber = Math.max(nextFileNumber, Number(name.slice(0, 20)) + 1);
    const { entries: inFile, stray } = await readEntries(files, path);
    if (stray !== undefined) strays.push(stray);
    const logNames = new Set(inFile.flatMap((entry) => entry.parts.map((part) => part.logName)));
    const lastEnd = inFile.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const { number: lastNumber = 0, sizeBytes = 0, pass = 0, isBlank = false } = inFile.at(-1) ?? {};
    found.push({ path, logNames, lastNumber, lastStart: lastEnd - sizeBytes, lastEnd, pass, isBlank });
    for (const entry of inFile) entries.push(entry);
  }
  entries.sort((a, b) => a.number - b.number);
  requireUnbroken(directory, entries, strays);
  const nextNumber = nextNumberAfter([...entries, ...strays].sort((a, b) => a.number - b.number));
  return { files: found, parts: collectParts(entries), nextNumber, nextFileNumber };
}

/**
 * Makes the newest entry durable before anything of it is put into a segment: the process may have died between writing
 * and syncing it. Should the power fail while it is applied, half of an atomic step would be on disk, and the entry gone. It is
 * written again, because a sync that failed before may have left it in the operating system's cache alone.
 */
export async function secureNewest(files: Files, found: readonly FoundJournalFile[]): Promise<void> {
  const newest = found.reduce<FoundJournalFile | undefined>(
    (best, file) => (best === undefined || file.lastNumber > best.lastNumber ? file : best),
    undefined,
  );
  if (newest === undefined || newest.lastEnd === 0) return;
  const file = await files.open(newest.path, "write");
  try {
    const entry = Buffer.allocUnsafeSlow(newest.lastEnd - newest.lastStart);
    const bytes = entry.subarray(0, await file.read(entry, newest.lastStart));
    await writeFully(file, bytes, newest.lastStart);
    await file.sync();
  } catch (error) {
    throw storageFailed(newest.path, "Securing the journal", error);
  } finally {
    await file.close();
  }
}

/**
 * Writes what the journal holds for one log into its last segment; earlier ones were synced when they were sealed.
 * Undefined when it holds nothing for that segment. What is at those places already is the same, or less.
 */
export async function applyParts(
  files: Files,
  logDirectory: string,
  logName: string,
  parts: readonly JournalPart[],
): Promise<RecoveredLog | undefined> {
  const bases = (await files.list(logDirectory)).map(baseOffsetOf).filter((base) => base !== undefined);
  const segmentBase = bases.at(-1);
  const wanted = parts.filter((part) => part.segmentBase === segmentBase);
  if (segmentBase === undefined || wanted.length === 0) return undefined;
  const path = `${segmentPath(logDirectory, segmentBase)}.log`;
  const file = await files.open(path, "write");
  try {
    let sizeBytes = await file.size();
    for (const run of runsOf(wanted)) {
      if (run.position > sizeBytes) throw missingBytes(logName, path, sizeBytes, run.position);
      await writeFully(file, run.bytes, run.position);
      sizeBytes = Math.max(sizeBytes, run.position + run.bytes.length);
    }
    await file.sync();
  } catch (error) {
    throw error instanceof BrokerError ? error : storageFailed(path, "Applying the journal", error);
  } finally {
    await file.close();
  }
  const last = wanted.at(-1)!;
  return { segmentBase, endPosition: last.position + last.bytes.length };
}

/** What can still be read of a damaged journal: every entry of the last pass over each file, whatever lies between them. */
export async function salvageJournal(
  files: Files,
  directory: string,
): Promise<ReadonlyMap<string, readonly JournalPart[]>> {
  const entries: JournalEntry[] = [];
  for (const name of await files.list(directory)) {
    const bytes = await files.readFile(`${directory}/${name}`);
    const inFile: JournalEntry[] = [];
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      const entry = decodeEntry(bytes, at);
      if (entry !== undefined) inFile.push(entry);
    }
    const newest = Math.max(0, ...inFile.map(({ number }) => number));
    const { pass } = inFile.find(({ number }) => number === newest) ?? { pass: -1 };
    entries.push(...inFile.filter((entry) => entry.pass === pass));
  }
  entries.sort((a, b) => a.number - b.number);
  return collectParts(entries);
}

/** The entries of the last pass; or, where the first of them cannot be read, the newest that lies behind it. */
async function readEntries(
  files: Files,
  path: string,
): Promise<{ readonly entries: JournalEntry[]; readonly stray: JournalEntry | undefined }> {
  const file = await files.open(path, "read");
  let bytes: Buffer;
  try {
    const head = Buffer.alloc(BLOCK_BYTES);
    const first = decodeEntry(head.subarray(0, await file.read(head, 0)), 0);
    if (first?.isBlank) return { entries: [first], stray: undefined };
    bytes = Buffer.allocUnsafeSlow(await file.size());
    bytes = bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
  const entries: JournalEntry[] = [];
  let at = 0;
  for (let entry = decodeEntry(bytes, 0); entry !== undefined; entry = decodeEntry(bytes, at)) {
    const previous = entries.at(-1);
    if (previous !== undefined && !follows(previous, entry)) break;
    entries.push(entry);
    at += entry.sizeBytes;
  }
  requireNothingAfter(path, bytes, at, entries.at(-1));
  return { entries, stray: entries.length === 0 ? newestOf(bytes) : undefined };
}

function newestOf(bytes: Buffer): JournalEntry | undefined {
  let newest: JournalEntry | undefined;
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const entry = decodeEntry(bytes, at);
    if (entry !== undefined && entry.number > (newest?.number ?? 0)) newest = entry;
  }
  return newest;
}

function follows(previous: JournalEntry, entry: JournalEntry): boolean {
  return entry.pass === previous.pass && entry.number === previous.number + 1;
}

/** Entries are synced one by one, so only the last can be torn: one that lies behind a torn one means damage. */
function requireNothingAfter(path: string, bytes: Buffer, end: number, last: JournalEntry | undefined): void {
  if (last === undefined) return;
  for (let at = end; at < bytes.length; at += BLOCK_BYTES) {
    const entry = decodeEntry(bytes, at);
    if (entry === undefined || entry.pass !== last.pass || entry.number <= last.number) continue;
    throw damagedJournal(path, end, last.number + 1, entry.number);
  }
}

/**
 * Every entry that the newest one counts on must be there. Behind a first entry that cannot be read lie either those of an
 * earlier pass, the last of which says that none is needed, or those that came after it: then it was damaged.
 */
function requireUnbroken(
  directory: string,
  entries: readonly JournalEntry[],
  strays: readonly JournalEntry[],
): void {
  let newest = entries.at(-1);
  for (const stray of strays) if (stray.number > (newest?.number ?? 0)) newest = stray;
  if (newest === undefined) return;
  const numbers = new Set(entries.map((entry) => entry.number));
  for (let number = newest.neededFrom; number < newest.number; number += 1) {
    if (!numbers.has(number)) throw damagedJournal(directory, 0, number, newest.number);
  }
}

function damagedJournal(path: string, position: number, expected: number, found: number): BrokerError {
  return new BrokerError(
    "LOG_CORRUPT",
    `The journal is damaged: in ${path} at byte ${position} entry ${expected} is missing, but entry ${found} is there. Commits that it holds may be lost; restore the data directory from a copy.`,
    { path, position, expected, found },
  );
}

/** A blank file may have the number of an entry that was written to another file since. */
function collectParts(found: readonly JournalEntry[]): Map<string, JournalPart[]> {
  const byLog = new Map<string, JournalPart[]>();
  const entries = found.filter((entry) => !entry.isBlank);
  entries.forEach((entry, i) => {
    const next = entries[i + 1];
    const voided = new Set(next !== undefined && follows(entry, next) ? next.voided : []);
    entry.parts.forEach((part, index) => {
      if (voided.has(index)) return;
      const parts = byLog.get(part.logName);
      if (parts === undefined) byLog.set(part.logName, [part]);
      else parts.push(part);
    });
  });
  return byLog;
}

function nextNumberAfter(entries: readonly JournalEntry[]): number {
  const last = entries.at(-1);
  if (last === undefined) return 1;
  return last.isBlank ? last.number : last.number + 1;
}

function runsOf(parts: readonly JournalPart[]): { position: number; bytes: Buffer }[] {
  const runs: { position: number; pieces: Buffer[]; sizeBytes: number }[] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    const isNext = run !== undefined && run.position + run.sizeBytes === part.position;
    if (isNext && run.sizeBytes + part.bytes.length <= RUN_BYTES_MAX) {
      run.pieces.push(part.bytes);
      run.sizeBytes += part.bytes.length;
    } else {
      runs.push({ position: part.position, pieces: [part.bytes], sizeBytes: part.bytes.length });
    }
  }
  return runs.map(({ position, pieces }) => ({ position, bytes: Buffer.concat(pieces) }));
}

function missingBytes(log: string, path: string, sizeBytes: number, position: number): BrokerError {
  const found = sizeBytes;
  return logCorrupt(log, path, {
    what: "the end of the file",
    position: sizeBytes,
    expected: position,
    found,
  });
}
