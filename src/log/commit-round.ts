// One commit: the parts of several logs become durable, each as its log promises, and readable.

import type { BrokerError } from "../broker-error.js";
import type { BuilderPool } from "./builder-pool.js";
import type { CommitPart } from "./commit-part.js";
import type { Journal } from "./journal.js";
import type { Log } from "./log.js";
import type { AtomicUnit } from "./pending-append.js";
import { diskFull, isOutOfSpace } from "./storage-errors.js";
import type { SyncStatistics } from "./sync-statistics.js";
import { writeFully } from "./write-file.js";

/** A log that is written and not synced is synced behind its back each time so much has gathered, or a quarter segment. */
const UNSYNCED_BYTES_MAX = 8 * 1024 * 1024;
/** Up to so many synced logs are synced themselves; more share one sync of the journal. */
const DIRECT_LOGS_MAX = 2;

export interface RoundContext {
  readonly statistics: SyncStatistics;
  /** Undefined when all logs are in memory. */
  readonly journal: Journal | undefined;
  /** A commit has ended. */
  committed(): void;
  /** The journal cannot be relied on any more. */
  failSyncedLogs(cause: unknown): BrokerError;
  /** An error that is a bug of a listener's, or of ours: it must not stay unseen. */
  crash(error: unknown): void;
  /** What is in the logs is not known any more. */
  failAllLogs(cause: unknown): BrokerError;
}

export class CommitRound {
  private readonly parts: readonly CommitPart[];
  private readonly builders: BuilderPool;
  private readonly context: RoundContext;

  constructor(parts: readonly CommitPart[], builders: BuilderPool, context: RoundContext) {
    this.parts = parts;
    this.builders = builders;
    this.context = context;
  }

  /** Hot: undefined when it is done already, as it mostly is for logs in memory. */
  run(): Promise<void> | undefined {
    const rolling = this.#prepare();
    if (rolling !== undefined || !this.#writeNow()) return this.#runOn(rolling);
    this.#publish(this.parts);
    this.#end();
    return undefined;
  }

  async #runOn(rolling: Promise<unknown> | undefined): Promise<void> {
    if (rolling !== undefined) await rolling;
    const sound = this.#dropFailed(this.parts);
    const shared = partsThatShareUnits(sound);
    const journaled = this.#chooseJournaled(sound, shared);
    if (journaled.length === 0) {
      await this.#commitDirectly(sound);
    } else {
      const together = new Set([...journaled, ...shared]);
      const others = this.#commitDirectly(sound.filter((part) => !together.has(part)));
      await this.#commitThroughJournal([...together], journaled);
      await others;
    }
    this.#end();
  }

  #end(): void {
    this.context.statistics.commits += 1;
    this.context.committed();
  }

  /** Whether all of it could be written at once. When not, nothing is lost: it is written again where it was. */
  #writeNow(): boolean {
    if (this.context.journal !== undefined) return false;
    try {
      for (const { error, segment, bytes, position } of this.parts) {
        const file = segment.openFile;
        if (error !== undefined || file.writeNow === undefined) return false;
        file.writeNow(bytes, position);
      }
    } catch {
      return false;
    }
    for (const part of this.parts) part.segment.looseBytes = part.end;
    return true;
  }

  /** Gives every part its bytes and its place. A promise when some of them need new segments first. */
  #prepare(): Promise<unknown> | undefined {
    const rolling: Promise<void>[] = [];
    for (const part of this.parts) {
      const { log } = part;
      part.error = part.brokenBy;
      if (part.error !== undefined) continue;
      part.encode(log.highWatermark, this.builders);
      if (log.mustRoll(part.bytes.length, part.offsetCount)) rolling.push(roll(part));
      else part.place();
    }
    return rolling.length > 0 ? Promise.all(rolling) : undefined;
  }

  /** Rejects the parts that failed, and what must not be committed without them. Returns the others. */
  #dropFailed(parts: readonly CommitPart[]): readonly CommitPart[] {
    const failed = parts.filter((part) => part.error !== undefined);
    if (failed.length === 0) return parts;
    const dropped = withUnits(failed, parts);
    for (const part of dropped) part.reject(part.error!);
    return parts.filter((part) => !dropped.has(part));
  }

  /**
   * What goes into the journal entry: nothing when one or two logs are synced themselves. Several batches of one log
   * go through the journal too: should the power fail while they are written, any of them may be the one that is
   * missing, and recovery could not tell that from damage.
   */
  #chooseJournaled(parts: readonly CommitPart[], shared: ReadonlySet<CommitPart>): CommitPart[] {
    if (this.context.journal === undefined) return [];
    const synced = parts.filter((part) => part.durability === "synced");
    const isNeeded =
      synced.length > DIRECT_LOGS_MAX || synced.some((part) => part.batchCount > 1) || shared.size > 0;
    if (!isNeeded) return [];
    return parts.filter((part) => {
      return part.durability === "synced" || (shared.has(part) && part.durability === "written");
    });
  }

  async #commitDirectly(parts: readonly CommitPart[]): Promise<void> {
    if (parts.length === 1) await this.#commitOne(parts[0]!);
    else await Promise.all(parts.map((part) => this.#commitOne(part)));
  }

  async #commitOne(part: CommitPart): Promise<void> {
    if (!(await this.#write(part))) {
      await this.#rollBack([part]);
    } else if (part.durability === "synced") {
      await this.#sync(part);
    } else {
      part.segment.looseBytes = part.end;
    }
    this.#publish([part]);
    if (part.durability === "written") this.#syncBehind(part);
  }

  /** Nobody waits for it, but without it whoever seals the segment would have to wait for all of it at once. */
  #syncBehind({ segment, log }: CommitPart): void {
    const bytesMax = Math.min(UNSYNCED_BYTES_MAX, log.segmentBytesMax / 4);
    if (segment.sizeBytes - segment.syncedBytes <= bytesMax || segment.isSyncing) return;
    segment.syncCommitted().catch((error: unknown) => {
      if (!segment.isRetired) log.failBy(segment.path, "Syncing", error);
    });
  }

  /** `parts` are those of the entry, and those in memory that share a unit with them. */
  async #commitThroughJournal(parts: readonly CommitPart[], journaled: readonly CommitPart[]): Promise<void> {
    const journal = this.context.journal!;
    await Promise.all(journaled.map((part) => this.#syncLoose(part)));
    const sound = this.#dropFailed(parts);
    const entryParts =
      sound.length === parts.length ? journaled : journaled.filter((part) => sound.includes(part));
    if (entryParts.length === 0) {
      await this.#writeAll(sound);
      this.#publish(sound);
      return;
    }
    // A part that is one batch and stands alone may be in its segment before it is in the journal: torn or whole, it
    // is what a commit that was not answered may leave. Others would be found without the rest of them.
    const alone = sound.filter((part) => part.batchCount === 1 && part.units.length === 0);
    const others = sound.length === alone.length ? [] : sound.filter((part) => !alone.includes(part));
    let writing: Promise<unknown> | undefined;
    const entry = await this.#append(journal, entryParts, () => {
      writing = this.#writeAll(alone);
    });
    await writing;
    if (typeof entry === "number") {
      this.context.statistics.journalCommits += 1;
      await this.#writeAll(others);
      await this.#rollBackFailed(journal, entry, entryParts, sound);
    } else {
      // That a part had no room in its segment says nothing when the journal may hold it all the same.
      for (const part of sound) part.error = part.log.failure ?? part.error ?? entry;
    }
    this.#publish(sound);
  }

  /** The number of the entry, or why there is none. */
  async #append(
    journal: Journal,
    parts: readonly CommitPart[],
    whileSyncing: () => void,
  ): Promise<number | BrokerError> {
    try {
      let entry = 0;
      await this.context.statistics.measure(async () => {
        entry = await journal.append(parts, whileSyncing);
      });
      return entry;
    } catch (error) {
      if (isOutOfSpace(error)) return diskFull(journal.directory, sizeOf(parts), error);
      return this.#failJournal(parts, error);
    }
  }

  /** Whether the entry is on disk is not known, so nothing may be written where recovery may put a part of it. */
  #failJournal(parts: Iterable<CommitPart>, cause: unknown): BrokerError {
    const failure = this.context.failSyncedLogs(cause);
    for (const part of parts) part.error = part.log.failBy(part.segment.path, "Writing the journal", failure);
    return failure;
  }

  /** What did not fit is taken back, with its units; the journal is told before anybody else is. */
  async #rollBackFailed(
    journal: Journal,
    entry: number,
    entryParts: readonly CommitPart[],
    parts: readonly CommitPart[],
  ): Promise<void> {
    const failed = parts.filter((part) => part.error?.code === "DISK_FULL");
    if (failed.length === 0) return;
    const dropped = withUnits(failed, parts);
    await this.#rollBack([...dropped]);
    const broken = [...dropped].find((part) => part.log.failure !== undefined);
    if (broken !== undefined) {
      // What could not be cut off would come back without the rest, so all of it must: from the journal.
      for (const part of dropped)
        part.error = part.log.failBy(broken.segment.path, "Writing", broken.log.failure);
      return;
    }
    const indexes = entryParts.flatMap((part, index) => (dropped.has(part) ? [index] : []));
    try {
      await journal.void(entry, indexes);
    } catch (error) {
      this.#failJournal(dropped, error);
    }
  }

  /** Cuts off what was written of parts that cannot be committed. */
  async #rollBack(parts: readonly CommitPart[]): Promise<void> {
    const cut = async (part: CommitPart): Promise<void> => {
      if (part.log.failure !== undefined) return;
      try {
        await part.segment.rollBack();
      } catch (error) {
        part.error = part.log.failBy(part.segment.path, "Cutting off what did not fit", error);
      }
    };
    await Promise.all(parts.map(cut));
  }

  async #writeAll(parts: readonly CommitPart[]): Promise<void> {
    await Promise.all(parts.map((part) => this.#write(part)));
  }

  /** False when it failed: then `part.error` says why, and only DISK_FULL leaves the log usable. */
  async #write(part: CommitPart): Promise<boolean> {
    try {
      await writeFully(part.segment.openFile, part.bytes, part.position);
      return true;
    } catch (error) {
      const path = part.segment.path;
      if (isOutOfSpace(error)) part.error = diskFull(path, part.bytes.length, error);
      else part.error = part.log.failBy(path, "Writing", error);
      return false;
    }
  }

  async #sync(part: CommitPart): Promise<void> {
    try {
      await this.context.statistics.measure(() => part.segment.sync(part.end));
    } catch (error) {
      part.error = part.log.failBy(part.segment.path, "Syncing", error);
    }
  }

  /** What was written earlier without a sync must be on disk before the journal has something that lies behind it. */
  async #syncLoose(part: CommitPart): Promise<void> {
    const { segment } = part;
    if (segment.looseBytes <= segment.syncedBytes) return;
    try {
      await this.context.statistics.measure(() => segment.sync(segment.sizeBytes));
    } catch (error) {
      part.error = part.log.failBy(segment.path, "Syncing", error);
    }
  }

  /** All of it becomes readable before anybody is told. */
  #publish(parts: readonly CommitPart[]): void {
    for (const part of parts) {
      part.error ??= part.log.failure;
      if (part.error !== undefined) continue;
      part.publish();
      this.context.statistics.bytes += part.bytes.length;
    }
    for (const part of parts) {
      if (part.error === undefined) part.answer();
      else part.reject(part.error);
    }
    for (const part of parts) if (part.error === undefined) this.#tell(part.log);
  }

  #tell(log: Log): void {
    try {
      log.onCommit?.(log);
    } catch (error) {
      this.context.crash(error);
    }
  }
}

async function roll(part: CommitPart): Promise<void> {
  part.error = await part.log.roll();
  if (part.error === undefined) part.place();
}

/** `failed` and every part that shares a unit with one of them; those get the error of the first that has one. */
function withUnits(failed: readonly CommitPart[], parts: readonly CommitPart[]): Set<CommitPart> {
  const dropped = new Set(failed);
  for (let size = 0; size < dropped.size; ) {
    size = dropped.size;
    const units = new Map(
      [...dropped].flatMap((part) => part.units.map((unit) => [unit, part.error] as const)),
    );
    for (const part of parts) {
      const shared = part.units.find((unit) => units.has(unit));
      if (shared === undefined || dropped.has(part)) continue;
      part.error ??= units.get(shared);
      dropped.add(part);
    }
  }
  return dropped;
}

/** The parts that must be committed together with another part, or of which all batches must be. */
function partsThatShareUnits(parts: readonly CommitPart[]): Set<CommitPart> {
  const owners = new Map<AtomicUnit, CommitPart>();
  const shared = new Set<CommitPart>();
  for (const part of parts) {
    for (const unit of part.units) {
      const owner = owners.get(unit) ?? part;
      owners.set(unit, owner);
      if (owner !== part || part.batchCount > 1) shared.add(owner).add(part);
    }
  }
  return shared;
}

function sizeOf(parts: readonly CommitPart[]): number {
  return parts.reduce((sum, part) => sum + part.bytes.length, 0);
}
