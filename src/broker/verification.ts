// Verifying and repairing a data directory that nobody has open: what is stored, byte by byte, and what it means.

import { BrokerError, isBrokerError } from "../broker-error.js";
import type { Files, Io } from "../io/io.js";
import {
  checkFormat,
  formatPath,
  type RecoveryPoint,
  readCheckpoint,
  removeCheckpoint,
} from "../log/data-directory.js";
import { DataDirectoryLock } from "../log/data-directory-lock.js";
import type { JournalPart } from "../log/journal-entry.js";
import { applyParts, readJournal, salvageJournal } from "../log/journal-recovery.js";
import { LogStore, unusable } from "../log/log-store.js";
import { copyFolder, repairLog } from "../log/repair-log.js";
import { type Finding, type LogTraits, type VerifiedLog, verifyLog } from "../log/verify-log.js";
import { Broker } from "./broker.js";
import { Catalog, type Definition } from "./catalog.js";

export type { Finding } from "../log/verify-log.js";

export interface Verification {
  readonly findings: readonly Finding[];
  readonly logs: number;
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
}

/** Records that a repair could not save. */
export interface GivenUp {
  readonly log: string;
  /** Half-open range of offsets. */
  readonly start: number;
  readonly end: number;
}

export interface Repair {
  /** What was wrong before. */
  readonly found: readonly Finding[];
  readonly givenUp: readonly GivenUp[];
  /** Where everything that was changed is kept as it was; undefined when nothing was. */
  readonly copy: string | undefined;
  /** What is there now. */
  readonly after: Verification;
}

/** Hears of each log before it is read, and how many there are. */
export type OnLog = (name: string, index: number, count: number) => void;

/**
 * Reads every byte of a data directory and changes nothing but its lock. Errors: DATA_DIRECTORY_LOCKED,
 * DATA_DIRECTORY_UNUSABLE, FORMAT_UNSUPPORTED.
 */
export async function verifyDataDirectory(io: Io, directory: string, onLog: OnLog): Promise<Verification> {
  return await locked(io, directory, async () => verificationOf(await inspect(io, directory, onLog)));
}

/**
 * Makes a data directory usable without inventing anything: what is damaged is taken out, and the offsets of what is lost
 * by that are written down. Keeps a copy of what it changes. Errors: those of {@link verifyDataDirectory}, and of storage.
 */
export async function repairDataDirectory(io: Io, directory: string, onLog: OnLog): Promise<Repair> {
  return await locked(io, directory, async () => {
    const before = await inspect(io, directory, onLog);
    const damaged = before.logs.filter(({ findings }) => findings.some(isDamage));
    const found = verificationOf(before).findings;
    if (damaged.length === 0 && before.journal !== undefined) {
      return { found, givenUp: [], copy: undefined, after: verificationOf(before) };
    }
    const copy = `${directory}/before-repair-${io.clock.nowMs()}`;
    await copyFolder(io.files, `${directory}/journal`, `${copy}/journal`);
    for (const { name } of damaged)
      await copyFolder(io.files, logDirectory(directory, name), `${copy}/logs/${name}`);
    await settleJournal(
      io.files,
      directory,
      before.journal ?? (await salvageJournal(io.files, `${directory}/journal`)),
    );
    for (const log of damaged) await repairLog(io.files, logDirectory(directory, log.name), log);
    await io.files.syncDirectory(`${directory}/logs`);
    await removeCheckpoint(io.files, directory);
    const givenUp = damaged.flatMap(({ name, lost }) =>
      lost.map(([start, end]) => ({ log: name, start, end })),
    );
    return { found, givenUp, copy, after: verificationOf(await inspect(io, directory, onLog)) };
  });
}

/** What was found in a directory. */
interface Inspection {
  readonly logs: readonly VerifiedLog[];
  /** What concerns no single log. */
  readonly findings: readonly Finding[];
  /** By log; undefined when the journal cannot be read. */
  readonly journal: ReadonlyMap<string, readonly JournalPart[]> | undefined;
}

async function locked<T>(io: Io, directory: string, work: () => Promise<T>): Promise<T> {
  if (!(await checkFormat(io.files, directory))) {
    throw new BrokerError(
      "DATA_DIRECTORY_UNUSABLE",
      `${directory} is no data directory: there is no ${formatPath(directory)}. If it was one, restore that file with the content {"format":"omnibus","version":1}.`,
      { directory },
    );
  }
  const lock = await DataDirectoryLock.acquire(io, directory).catch((error: unknown) => {
    throw error instanceof BrokerError ? error : unusable(directory, error);
  });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function inspect(io: Io, directory: string, onLog: OnLog): Promise<Inspection> {
  const { files } = io;
  const findings: Finding[] = [];
  const points = await readCheckpoint(files, directory);
  const journal = await readJournal(files, `${directory}/journal`).then(
    ({ parts }) => parts,
    (error: unknown) => {
      findings.push(findingOf(error, `${directory}/journal`));
      return undefined;
    },
  );
  const meaning = await inspectMeaning(io, directory);
  const names = await files.list(`${directory}/logs`);
  // A folder that is gone is missed by whoever opens what it belongs to.
  for (const { log } of meaning.findings)
    if (log !== undefined && points.has(log) && !names.includes(log)) names.push(log);
  const logs: VerifiedLog[] = [];
  for (const [index, name] of names.entries()) {
    onLog(name, index, names.length);
    logs.push(
      await verifyOne(
        files,
        directory,
        name,
        meaning.traits(name),
        points.get(name),
        journal?.get(name) ?? [],
      ),
    );
  }
  const damaged = new Set(logs.filter((log) => log.findings.some(isDamage)).map(({ name }) => name));
  // What is damaged below means nothing above, and has been found already.
  findings.push(...meaning.findings.filter(({ log }) => log === undefined || !damaged.has(log)));
  return { logs, findings, journal };
}

async function verifyOne(
  files: Files,
  directory: string,
  name: string,
  traits: LogTraits,
  point: RecoveryPoint | undefined,
  parts: readonly JournalPart[],
): Promise<VerifiedLog> {
  return await verifyLog(files, logDirectory(directory, name), name, traits, { point, parts });
}

interface Meaning {
  readonly findings: readonly Finding[];
  /** What is promised for a log, as far as that can be read. */
  traits(name: string): LogTraits;
}

/** Opens everything as a reader would, and hears what cannot be opened. */
async function inspectMeaning(io: Io, directory: string): Promise<Meaning> {
  const findings: Finding[] = [];
  const store = await LogStore.open(io, directory, { readOnly: true });
  const definitions: Definition[] = [];
  if (!store.hasLog("catalog")) {
    const what = "there is no catalog: what the logs are for is not known";
    if (store.logNames().length > 0)
      findings.push({
        severity: "damage",
        log: undefined,
        path: `${directory}/logs/catalog`,
        position: 0,
        what,
      });
    await store.close();
    return { findings, traits: (name) => traitsOf(name, store, definitions) };
  }
  try {
    const onError = (error: unknown): void => void findings.push(findingOf(error, directory));
    const broker = await Broker.open(io, store, { durability: "synced", readOnly: true, onError });
    const catalog = new Catalog(await store.openLog("catalog", { durability: "synced" }), io.clock);
    await catalog.load();
    definitions.push(...catalog.definitions);
    const traits = (name: string): LogTraits => traitsOf(name, store, definitions);
    const known = new Map(store.logNames().map((name) => [name, traits(name)]));
    await broker.close();
    return { findings, traits: (name) => known.get(name) ?? traits(name) };
  } catch (error) {
    findings.push(findingOf(error, directory));
    await store.close();
    return { findings, traits: (name) => traitsOf(name, store, definitions) };
  }
}

/** A log that cannot be opened has the traits of what it was declared for. */
function traitsOf(name: string, store: LogStore, definitions: readonly Definition[]): LogTraits {
  const options = store.optionsOf(name) ?? definedOptions(name, definitions);
  if (options !== undefined)
    return { isSynced: options.durability === "synced", isCompacted: options.compact ?? false };
  return { isSynced: name !== "settlements", isCompacted: name === "catalog" };
}

function definedOptions(name: string, definitions: readonly Definition[]) {
  const [kind, id] = name.split(".");
  for (const definition of definitions) {
    if ((definition.kind === "queue" || definition.kind === "topic") && definition.kind === kind)
      if (String(definition.id) === id)
        return definition.options as { durability: string; compact?: boolean };
  }
  return undefined;
}

/** Puts what the journal holds into the segments, as far as it can be read, and forgets it. */
async function settleJournal(
  files: Files,
  directory: string,
  parts: ReadonlyMap<string, readonly JournalPart[]>,
): Promise<void> {
  for (const [name, ofLog] of parts) {
    if (!(await files.exists(logDirectory(directory, name)))) continue;
    await applyParts(files, logDirectory(directory, name), name, ofLog).catch((error: unknown) => {
      if (!isBrokerError(error, "LOG_CORRUPT")) throw error;
    });
  }
  for (const name of await files.list(`${directory}/journal`))
    await files.remove(`${directory}/journal/${name}`);
  await files.syncDirectory(`${directory}/journal`);
}

function verificationOf({ logs, findings }: Inspection): Verification {
  const sum = (of: (log: VerifiedLog) => number): number => logs.reduce((total, log) => total + of(log), 0);
  return {
    findings: [...findings, ...logs.flatMap((log) => log.findings)],
    logs: logs.length,
    batches: sum(({ batchCount }) => batchCount),
    records: sum(({ recordCount }) => recordCount),
    bytes: sum(({ bytes }) => bytes),
  };
}

function findingOf(error: unknown, path: string): Finding {
  const context = error instanceof BrokerError ? error.context : {};
  return {
    severity: "damage",
    log: typeof context["log"] === "string" ? context["log"] : undefined,
    path: typeof context["path"] === "string" ? context["path"] : path,
    position: typeof context["position"] === "number" ? context["position"] : 0,
    what: error instanceof Error ? error.message : String(error),
  };
}

function isDamage({ severity }: Finding): boolean {
  return severity === "damage";
}

function logDirectory(directory: string, name: string): string {
  return `${directory}/logs/${name}`;
}
