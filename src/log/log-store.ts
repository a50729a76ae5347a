// All logs of one data directory: who owns it, what its journal holds, and the commits of its logs.

import { BrokerError } from "../broker-error.js";
import type { Files, Io } from "../io/io.js";
import { MemoryFiles } from "../io/memory-files.js";
import { AtomicAction, AtomicScope } from "./atomic-action.js";
import { BuilderPool } from "./builder-pool.js";
import type { RoundContext } from "./commit-round.js";
import { Committer } from "./committer.js";
import {
  checkFormat,
  formatPath,
  type RecoveryPoint,
  readCheckpoint,
  writeCheckpoint,
  writeFormat,
} from "./data-directory.js";
import { DataDirectoryLock } from "./data-directory-lock.js";
import { forEachParallel } from "./for-each-parallel.js";
import type { Journal } from "./journal.js";
import type { RecoveredLog } from "./journal-recovery.js";
import { Log, type LogEnvironment, type LogOptions } from "./log.js";
import { assertReached, createSegments, type LogLocation, openSegments } from "./log-opening.js";
import { readLostOffsets } from "./lost-offsets.js";
import { recoverJournal } from "./open-journal.js";
import { SegmentPool } from "./segment-pool.js";
import { closed, diskFull, isMissing, isOutOfSpace, storageFailed, systemCode } from "./storage-errors.js";
import { SyncStatistics } from "./sync-statistics.js";
import { LogTail, TailCache } from "./tail-cache.js";

export interface LogStoreOptions {
  /** Only look, beside the process that owns the directory: nothing is locked, written or repaired. @default false */
  readonly readOnly?: boolean;
  /** The memory for batches that were committed last, over all logs. @default 64 MiB */
  readonly tailCacheBytes?: number;
  /** The size of each of the two files of the journal. @default 32 MiB */
  readonly journalBytes?: number;
}

const TAIL_CACHE_BYTES = 64 * 1024 * 1024;
const JOURNAL_BYTES = 32 * 1024 * 1024;
const LOG_NAME = /^(?!\.\.?$)[A-Za-z0-9._-]{1,200}$/;

export class LogStore {
  /** How the commits of this store go. */
  readonly syncStatistics: SyncStatistics;
  private readonly io: Io;
  private readonly directory: string;
  private readonly isReadOnly: boolean;
  private readonly memoryFiles: Files;
  private readonly tailCache: TailCache;
  private readonly environment: LogEnvironment;
  private readonly logs: Map<string, Log>;
  private readonly opening: Map<string, Promise<Log>>;
  private readonly names: Set<string>;
  private lock: DataDirectoryLock | undefined;
  private journal: Journal | undefined;
  private points: Map<string, RecoveryPoint>;
  /** What the journal did to logs that have not been opened yet, or why that failed. */
  private recovered: ReadonlyMap<string, RecoveredLog | BrokerError>;
  private diskCommitter: Committer | undefined;
  private memoryCommitter: Committer | undefined;
  private readonly journalBytes: number;
  /** What had been committed when a checkpoint was written last. */
  private checkpointedBytes: number;
  private writingCheckpoint: Promise<void>;
  private closing: Promise<void> | undefined;

  private constructor(io: Io, directory: string, options: LogStoreOptions) {
    this.syncStatistics = new SyncStatistics(io.clock);
    this.io = io;
    this.directory = directory;
    this.isReadOnly = options.readOnly ?? false;
    this.memoryFiles = new MemoryFiles();
    this.tailCache = new TailCache(options.tailCacheBytes ?? TAIL_CACHE_BYTES);
    this.environment = {
      clock: io.clock,
      segments: new SegmentPool(this.isReadOnly ? "read" : "write"),
      builders: new BuilderPool(),
      scope: new AtomicScope(),
    };
    this.logs = new Map();
    this.opening = new Map();
    this.names = new Set();
    this.lock = undefined;
    this.journal = undefined;
    this.points = new Map();
    this.recovered = new Map();
    this.diskCommitter = undefined;
    this.memoryCommitter = undefined;
    this.journalBytes = options.journalBytes ?? JOURNAL_BYTES;
    this.checkpointedBytes = 0;
    this.writingCheckpoint = Promise.resolve();
    this.closing = undefined;
  }

  /**
   * Locks the directory, which is made when it is missing, and recovers what its journal holds. A read-only store
   * does neither. Errors: DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_UNUSABLE, FORMAT_UNSUPPORTED, LOG_CORRUPT when the
   * journal is damaged.
   */
  static async open(io: Io, directory: string, options: LogStoreOptions = {}): Promise<LogStore> {
    const store = new LogStore(io, directory, options);
    try {
      if (store.isReadOnly) await store.#openReadOnly();
      else await store.#open();
      return store;
    } catch (error) {
      await store.lock?.release().catch(() => {});
      throw error instanceof BrokerError ? error : unusable(directory, error);
    }
  }

  /**
   * The log of that name, opened with these options, or made. The same object each time while it is open; the options
   * of the first time count. `name` has up to 200 of A-Z, a-z, 0-9, dot, dash and underline. Errors: INVALID_NAME,
   * LOG_CORRUPT for this log only, READ_ONLY when it would have to be made, STORAGE_FAILED, DISK_FULL, CLOSED.
   */
  openLog(name: string, options: LogOptions): Promise<Log> {
    const open = this.logs.get(name);
    if (open !== undefined) return Promise.resolve(open);
    let opening = this.opening.get(name);
    if (opening === undefined) {
      opening = this.#openLog(name, options).finally(() => this.opening.delete(name));
      this.opening.set(name, opening);
    }
    return opening;
  }

  hasLog(name: string): boolean {
    return this.names.has(name);
  }

  /** Of a log that is open. */
  optionsOf(name: string): LogOptions | undefined {
    return this.logs.get(name)?.options;
  }

  /** Why an open log takes nothing any more; undefined when it does. */
  failureOf(name: string): BrokerError | undefined {
    return this.logs.get(name)?.failure;
  }

  /** Sorted. */
  logNames(): string[] {
    return [...this.names].sort();
  }

  /**
   * Deletes the log with everything in it; nothing happens when there is none. What is pending fails with CLOSED. A
   * name must not be used again: the journal may still speak of it.
   */
  async deleteLog(name: string): Promise<void> {
    this.#checkOpen();
    if (this.isReadOnly) throw readOnly(this.directory);
    await this.opening.get(name)?.catch(() => {});
    if (!this.names.delete(name)) return;
    const log = this.logs.get(name);
    if (log !== undefined) {
      this.logs.delete(name);
      await log.home!.exclusive(() => log.close(`Log ${name} was deleted and`));
    }
    this.points.delete(name);
    if (await this.memoryFiles.exists(this.#logDirectory(name))) {
      await this.memoryFiles.removeDirectory(this.#logDirectory(name));
    } else {
      await this.#deleteFiles(name);
    }
  }

  /**
   * Everything that `action` appends, before it returns, to whatever logs, is committed as one: after a crash all of
   * it is there or nothing. When it throws, nothing of it is. An action within another one is part of that.
   */
  atomically(action: () => void): void {
    const { scope } = this.environment;
    if (scope.current !== undefined) {
      action();
      return;
    }
    const current = new AtomicAction<Log>();
    scope.current = current;
    try {
      action();
    } catch (error) {
      current.undo(error instanceof BrokerError ? error : closed("An atomic action that threw"));
      throw error;
    } finally {
      scope.current = undefined;
    }
    if (current.logs.length > 1) this.#commitTogether(current.logs);
  }

  /** Resolves when all that was appended before is committed; rejects when some of it could not be. */
  async flush(): Promise<void> {
    const appends = [
      ...(this.diskCommitter?.committing() ?? []),
      ...(this.memoryCommitter?.committing() ?? []),
    ];
    for (const log of this.logs.values()) appends.push(...log.appends.pendingAppends());
    const results = await Promise.allSettled(appends.map((append) => append.committed));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /** Makes everything committed durable, whatever the level of its log, and shortens the next recovery to what follows. */
  async checkpoint(): Promise<void> {
    this.#checkOpen();
    if (this.isReadOnly) throw readOnly(this.directory);
    try {
      await this.#checkpoint();
    } catch (error) {
      if (isOutOfSpace(error)) throw diskFull(this.directory, 0, error);
      throw storageFailed(this.directory, "Writing a checkpoint", error);
    }
  }

  /** Commits what is pending, makes everything durable and gives the directory free. */
  close(): Promise<void> {
    this.closing ??= this.#close();
    return this.closing;
  }

  async #open(): Promise<void> {
    const { files, clock, random } = this.io;
    const { directory } = this;
    await files.makeDirectory(directory);
    // Before anything is written: what another version made stays as it is.
    await checkFormat(files, directory);
    this.lock = await DataDirectoryLock.acquire(this.io, directory);
    for (const folder of ["journal", "logs", "deleted"]) await files.makeDirectory(`${directory}/${folder}`);
    if (!(await checkFormat(files, directory))) {
      // Once the format is there, so is the folder, whatever happens.
      await files.syncDirectory(parentOf(directory));
      await writeFormat(files, directory);
    }
    // A process that died may have made files and folders that no power failure must take away from here on.
    for (const folder of [directory, `${directory}/journal`, `${directory}/logs`])
      await files.syncDirectory(folder);
    for (const name of await files.list(`${directory}/deleted`)) {
      await files.removeDirectory(`${directory}/deleted/${name}`);
    }
    await this.#list();
    const { journal, recovered } = await recoverJournal(
      files,
      random,
      directory,
      (name) => (this.names.has(name) ? this.#logDirectory(name) : undefined),
      this.journalBytes,
    );
    this.journal = journal;
    this.recovered = recovered;
    const context = this.#roundContext(journal);
    this.diskCommitter = new Committer(clock, this.environment.builders, context);
    this.memoryCommitter = new Committer(clock, this.environment.builders, {
      ...context,
      journal: undefined,
    });
  }

  async #openReadOnly(): Promise<void> {
    if (!(await checkFormat(this.io.files, this.directory))) {
      throw unusable(this.directory, new Error(`there is no ${formatPath(this.directory)}`));
    }
    await this.#list();
  }

  async #list(): Promise<void> {
    for (const name of await this.io.files.list(`${this.directory}/logs`)) this.names.add(name);
    this.points = await readCheckpoint(this.io.files, this.directory);
  }

  #roundContext(journal: Journal): RoundContext {
    return {
      statistics: this.syncStatistics,
      journal,
      committed: () => this.#noteCommit(),
      failSyncedLogs: (cause) => this.#failLogs(cause, (log) => log.options.durability === "synced"),
      failAllLogs: (cause) => this.#failLogs(cause, () => true),
      crash: (error) =>
        this.io.clock.defer(() => {
          throw error;
        }),
    };
  }

  #failLogs(cause: unknown, isAffected: (log: Log) => boolean): BrokerError {
    const failure = cause instanceof BrokerError ? cause : storageFailed(this.directory, "Committing", cause);
    for (const log of this.logs.values()) if (isAffected(log)) log.fail(failure);
    return failure;
  }

  async #openLog(name: string, options: LogOptions): Promise<Log> {
    this.#checkOpen();
    if (!LOG_NAME.test(name)) throw invalidName(name);
    const isMemory = options.durability === "memory";
    const location: LogLocation = {
      name,
      files: isMemory ? this.memoryFiles : this.io.files,
      directory: this.#logDirectory(name),
      pool: this.environment.segments,
      isReadOnly: this.isReadOnly,
    };
    try {
      const segments = await this.#openSegments(location, options);
      const committer = isMemory ? this.memoryCommitter : this.diskCommitter;
      const tail = new LogTail(this.tailCache);
      const log = new Log(
        name,
        options,
        location.files,
        location.directory,
        this.environment,
        segments,
        tail,
        committer,
        await readLostOffsets(location.files, location.directory),
      );
      this.logs.set(name, log);
      this.names.add(name);
      return log;
    } catch (error) {
      throw error instanceof BrokerError ? error : storageFailed(location.directory, "Opening a log", error);
    }
  }

  async #openSegments(location: LogLocation, options: LogOptions) {
    const { files, directory, name } = location;
    const journaled = this.recovered.get(name);
    if (journaled instanceof BrokerError) throw journaled;
    if (await files.exists(directory)) {
      const segments = await openSegments(location, {
        isSynced: options.durability === "synced",
        isCompacted: options.compact ?? false,
        point: this.points.get(name),
        journaled,
      });
      if (segments.length > 0) return segments;
    } else {
      assertReached(location, this.points.get(name), 0);
    }
    if (this.isReadOnly) throw readOnly(this.directory, `There is no log ${name}.`);
    await files.makeDirectory(directory);
    const segments = await createSegments(location);
    await files.syncDirectory(parentOf(directory));
    return segments;
  }

  async #deleteFiles(name: string): Promise<void> {
    const { files } = this.io;
    const deleted = `${this.directory}/deleted/${name}`;
    try {
      // In one step, so that a crash does not leave half a log.
      await files.rename(this.#logDirectory(name), deleted);
      await files.syncDirectory(`${this.directory}/logs`);
      await files.removeDirectory(deleted);
    } catch (error) {
      if (!isMissing(error)) throw storageFailed(this.#logDirectory(name), "Deleting a log", error);
    }
  }

  #commitTogether(logs: readonly Log[]): void {
    const committer = this.diskCommitter!;
    const isOnDisk = (log: Log) => log.options.durability !== "memory";
    if (!logs.some(isOnDisk)) return;
    for (const log of logs) if (!isOnDisk(log)) committer.adopt(log);
  }

  /** Syncs the active segments. A log whose sync fails is failed. */
  async #checkpoint(): Promise<void> {
    await forEachParallel([...this.logs.values()], async (log) => {
      if (log.options.durability === "memory" || log.failure !== undefined) return;
      const segment = log.activeSegment;
      try {
        await segment.syncCommitted();
      } catch (error) {
        if (!segment.isRetired) log.failBy(segment.path, "Syncing", error);
      }
    });
    await this.#writeCheckpoint();
  }

  /** Writes down up to where each log is known to be on disk. One after the other: they use the same file. */
  #writeCheckpoint(): Promise<void> {
    const write = async (): Promise<void> => {
      for (const log of this.logs.values()) {
        if (log.options.durability !== "memory") this.points.set(log.name, log.activeSegment.recoveryPoint);
      }
      await writeCheckpoint(this.io.files, this.directory, this.points);
    };
    const writing = this.writingCheckpoint.catch(() => {}).then(write);
    this.writingCheckpoint = writing;
    return writing;
  }

  /** Keeps the next recovery short: each time that as much was committed as a file of the journal holds. */
  #noteCommit(): void {
    if (this.syncStatistics.bytes - this.checkpointedBytes < this.journalBytes) return;
    this.checkpointedBytes = this.syncStatistics.bytes;
    // It is of use and not needed: without it, recovery reads more.
    this.#writeCheckpoint().catch(() => {});
  }

  async #close(): Promise<void> {
    const logs = () => [...this.logs.values()];
    const refuse = () => {
      for (const log of logs()) log.refuse(closed("The data directory"));
    };
    refuse();
    await Promise.allSettled(this.opening.values());
    refuse();
    await this.flush().catch(() => {});
    for (const committer of [this.diskCommitter, this.memoryCommitter])
      await committer?.exclusive(async () => {});
    if (!this.isReadOnly) {
      // Whoever waited for these has been told that they failed.
      await this.#checkpoint().catch(() => {});
      await this.journal?.close().catch(() => {});
    }
    await Promise.all(logs().map((log) => log.close("The data directory")));
    try {
      await this.lock?.release();
    } catch (error) {
      throw storageFailed(this.directory, "Releasing the data directory", error);
    }
  }

  #checkOpen(): void {
    if (this.closing !== undefined) throw closed("The data directory");
  }

  #logDirectory(name: string): string {
    return `${this.directory}/logs/${name}`;
  }
}

function parentOf(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  if (at === -1) return ".";
  return at === 0 ? "/" : path.slice(0, at);
}

/** `cause` is what opening it failed with. */
export function unusable(directory: string, cause: unknown): BrokerError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BrokerError(
    "DATA_DIRECTORY_UNUSABLE",
    `The data directory ${directory} cannot be opened: ${reason}.`,
    { directory, systemCode: systemCode(cause) },
    cause,
  );
}

function readOnly(directory: string, detail = ""): BrokerError {
  const message = `The data directory ${directory} is opened for reading only. ${detail}`.trimEnd();
  return new BrokerError("READ_ONLY", message, { directory });
}

function invalidName(name: string): BrokerError {
  return new BrokerError(
    "INVALID_NAME",
    `${JSON.stringify(name)} cannot name a log: use 1 to 200 letters, digits, dots, dashes and underlines.`,
    { name },
  );
}
